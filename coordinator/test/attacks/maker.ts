import { credentials } from "@grpc/grpc-js";
import {
  BuilderServiceClient,
  BuildServiceClient,
  FreezeServiceClient,
  MembershipServiceClient,
  type Lease,
} from "@slipway/proto";
import * as assert from "uvu/assert";
import { call } from "../call.js";
import { TestBuilder } from "../fleet.js";
import { TestMember } from "../membership/test-member.js";
import { sha } from "../postgres.js";
import {
  applyApplication,
  createDeployment,
  deployNew,
  insertBuild,
  replicate,
  type Clients,
  type World,
} from "../rollout/world.js";

/** Makes what requests need to be right. */
export class Maker {
  readonly world: World;
  readonly clients: Clients;
  readonly builds: BuildServiceClient;
  readonly builders: BuilderServiceClient;
  readonly freezes: FreezeServiceClient;
  readonly members: MembershipServiceClient;
  #made = 0;

  constructor(world: World, { clients, address }: { clients: Clients; address: string }) {
    const open = [address, credentials.createInsecure()] as const;
    this.world = world;
    this.clients = clients;
    this.builds = new BuildServiceClient(...open);
    this.builders = new BuilderServiceClient(...open);
    this.freezes = new FreezeServiceClient(...open);
    this.members = new MembershipServiceClient(...open);
  }

  close(): void {
    for (const client of [this.builds, this.builders, this.freezes, this.members]) client.close();
  }

  /** One that nothing else has. */
  name(): string {
    return `a${(this.#made += 1)}`;
  }

  sha(): string {
    return sha((this.#made += 1));
  }

  /** The name of an application. */
  async applied(): Promise<string> {
    return (await applyApplication(this.clients, this.name(), ["eu"])).name;
  }

  async submitted(): Promise<string> {
    const request = { application: "shop", commitSha: this.sha() };
    const all = { ...request, idempotencyKey: "", submitter: "" };
    const { build } = await call(this.builds, "submitBuild", all);
    return build?.id ?? "";
  }

  async built(): Promise<{ id: string; digest: string; application: string }> {
    const application = await applyApplication(this.clients, this.name(), ["eu"]);
    const build = await insertBuild(this.world.db, application);
    await replicate(this.clients, build.digest, ["eu"]);
    return { ...build, application: application.name };
  }

  async paused(): Promise<string> {
    const { id } = await deployNew(this.world, this.clients, this.name());
    await call(this.clients.deployments, "pauseDeployment", { id, actor: "ada", reason: "a test" });
    return id;
  }

  /** An application that may go back from its second build to the first. */
  async deployedTwice(): Promise<{ application: string; toBuildId: string }> {
    const first = await this.built();
    const application = await applyApplication(this.clients, first.application, ["eu"]);
    const second = await insertBuild(this.world.db, application);
    await replicate(this.clients, second.digest, ["eu"]);
    for (const { id } of [first, second]) await createDeployment(this.clients, { buildId: id });
    return { application: first.application, toBuildId: first.id };
  }

  async enrolled(): Promise<string> {
    const hostId = this.name();
    const hosts = [{ hostId, region: "eu", cell: "", labels: {} }];
    await call(this.clients.fleet, "enrolHosts", { hosts });
    return hostId;
  }

  async joined(): Promise<string> {
    const member = new TestMember(this.name());
    await call(this.members, "join", member.joins());
    return member.id;
  }

  async frozen(): Promise<string> {
    const expireTime = new Date(Date.now() + 3_600_000);
    const request = {
      application: this.name(),
      region: "",
      actor: "ada",
      reason: "a test",
      expireTime,
    };
    await applyApplication(this.clients, request.application, ["eu"]);
    const { freeze } = await call(this.freezes, "createFreeze", request);
    return freeze?.id ?? "";
  }

  /** A build that builder b1 has leased. */
  async leased(): Promise<Lease> {
    await this.submitted();
    const builder = new TestBuilder(this.builders);
    await builder.hello("b1", 1);
    const { lease } = await builder.hear("leased");
    builder.end();
    await builder.ended();
    assert.ok(lease);
    return lease;
  }
}
