import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  type Goal,
  type HostApplicationStatus,
  HostStatus,
  hostStatusSubject,
  KEY_SET_KEY,
  regionGoalsBucket,
  STATUS_BUCKET,
} from "@slipway/proto";
import { freePort, startNats, type NatsServer } from "@slipway/examples/servers";
import { connect, type KV, type NatsConnection } from "nats";
import { Registry } from "prom-client";
import { openDirectoryBlobStore, putFile } from "../../src/blob/index.js";
import type { HostConfig, RegionConfig } from "../../src/config.js";
import { startHost } from "../../src/host/host.js";
import { startRegion } from "../../src/region/region.js";
import type { RunningAgent } from "../../src/running-agent.js";
import { chunkFile } from "../../src/store/chunker.js";
import { decodeManifest } from "../../src/store/manifest.js";
import { createIdentity } from "../../src/swarm/identity.js";
import { writeIdentity } from "../../src/swarm/identity-file.js";
import {
  ask,
  eventually,
  type GoalSigner,
  log,
  makeGoal,
  serviceScript,
} from "../host/fixtures.js";
import { FakeCoordinator } from "../region/fake-coordinator.js";
import { Root } from "./fixtures.js";

/** One region agent and one host that know nothing but a root key, on a NATS of their own. */
export class RootedRegion {
  readonly root = new Root();
  readonly membership = generateKeyPairSync("ed25519");
  /** What the host said last. */
  said: HostStatus | undefined;
  readonly metrics = new Registry();
  host: RunningAgent | undefined;
  agent: RunningAgent | undefined;
  readonly #folder: string;
  #http = 0;
  #swarm = { host: "127.0.0.1", port: 0 };
  #coordinator = new FakeCoordinator();
  #coordinatorPort = 0;
  #nats: NatsServer | undefined;
  #connection: NatsConnection | undefined;
  #global: KV | undefined;
  #statuses: KV | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<void> {
    this.#nats = await startNats();
    this.#connection = await connect({ servers: this.#nats.url });
    const { views } = this.#connection.jetstream();
    this.#global = await views.kv(GLOBAL_GOALS_BUCKET, { history: 1 });
    this.#statuses = await views.kv(STATUS_BUCKET, { history: 1 });
    this.#connection.subscribe(hostStatusSubject("eu", "h1"), {
      callback: (_error, { data }) => (this.said = HostStatus.decode(data)),
    });
    [this.#http, this.#swarm.port, this.#coordinatorPort] = [
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    await this.#coordinator.start(this.#coordinatorPort);
    await writeFile(this.file("root.pub"), this.root.pem);
    await mkdir(this.file("main"));
    for (const [id, role] of [
      ["eu-1", "region"],
      ["h1", "host"],
    ] as const) {
      const expireTime = new Date(Date.now() + 3_600_000);
      const membershipKey = this.membership.privateKey;
      const identity = createIdentity({ id, region: "eu", role, membershipKey, expireTime });
      await writeIdentity(this.file(`${id}.json`), identity);
    }
    await this.startAgent();
    await this.startHost();
  }

  async close(): Promise<void> {
    await this.host?.stop();
    await this.agent?.stop();
    this.#coordinator.stop();
    await this.#connection?.close();
    await this.#nats?.stop();
  }

  file(name: string): string {
    return path.join(this.#folder, name);
  }

  get global(): KV {
    if (this.#global === undefined) throw new Error("not open");
    return this.#global;
  }

  get statuses(): KV {
    if (this.#statuses === undefined) throw new Error("not open");
    return this.#statuses;
  }

  async regional(): Promise<KV> {
    const { views } = this.#connection?.jetstream() ?? {};
    if (views === undefined) throw new Error("not open");
    return views.kv(regionGoalsBucket("eu"), { bindOnly: true, allow_direct: true });
  }

  async startAgent(): Promise<void> {
    const urls = [this.#nats?.url ?? ""];
    const config: RegionConfig = {
      id: "eu-1",
      region: "eu",
      logLevel: "silent",
      coordinator: `127.0.0.1:${this.#coordinatorPort}`,
      nats: urls,
      regionNats: urls,
      mainBlobStore: this.file("main"),
      blobStore: this.file("regional"),
      dataDir: this.file("eu-1"),
      identityFile: this.file("eu-1.json"),
      rootPublicKeyFiles: [this.file("root.pub")],
      goalPublicKeyFiles: [],
      blobStoreShared: false,
      listen: this.#swarm,
      bootstrap: [this.#swarm],
      cells: [],
      recheckMs: 60_000,
    };
    this.agent = await startRegion(config, log.child({ agent: "eu-1" }));
  }

  async startHost(): Promise<void> {
    const config: HostConfig = {
      id: "h1",
      region: "eu",
      cell: "default",
      neighbourCells: [],
      logLevel: "silent",
      labels: { "http-port": String(this.#http) },
      regionNats: [this.#nats?.url ?? ""],
      dataDir: this.file("h1"),
      identityFile: this.file("h1.json"),
      rootPublicKeyFiles: [this.file("root.pub")],
      goalPublicKeyFiles: [],
      listen: { host: "127.0.0.1", port: await freePort() },
      bootstrap: [this.#swarm],
      environment: { PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin` },
      storeMaxBytes: 1024 ** 3,
      stopReleasesOnExit: false,
    };
    this.metrics.clear();
    this.said = undefined;
    this.host = await startHost(config, log.child({ host: "h1" }), this.metrics);
  }

  /** A key set of these goal keys, signed by the root key. */
  keySet(
    version: number,
    goal: readonly GoalSigner[],
    revoked: readonly GoalSigner[] = [],
  ): Buffer {
    return this.root.set(version, {
      goal: goal.map(({ publicKey }) => publicKey),
      membership: [this.membership.publicKey],
      revoked: revoked.map(({ publicKey }) => publicKey),
    });
  }

  /** As a coordinator does; waits until the host goes by it. */
  async publish(
    version: number,
    goal: readonly GoalSigner[],
    revoked: readonly GoalSigner[] = [],
  ): Promise<void> {
    await this.global.put(KEY_SET_KEY, this.keySet(version, goal, revoked));
    await eventually(`the host to go by key set ${version}`, () => {
      return this.said?.keySetVersion === version;
    });
  }

  /** Puts a release into the main blob store, and has it copied to the region. */
  async build(version: string): Promise<Built> {
    const file = this.file(`artifact-${version}`);
    await writeFile(file, serviceScript(version), { mode: 0o755 });
    const manifest = await chunkFile(file);
    await putFile(await openDirectoryBlobStore(this.file("main")), file, manifest);
    const { digest, sizeBytes } = decodeManifest(manifest);
    this.#coordinator.target(digest, sizeBytes);
    return { digest, size: sizeBytes };
  }

  /** As a coordinator does. */
  async deploy(goal: Goal, signer: GoalSigner): Promise<void> {
    const { application, generation, deploymentId } = goal;
    const regions = { eu: signer.sign(goal) };
    const value = ApplicationGoal.fromPartial({ application, generation, deploymentId, regions });
    await this.global.put(application, ApplicationGoal.encode(value).finish());
  }

  /** A goal that is newer than the one before. */
  goal(generation: number, built: Built, more: Partial<Goal> = {}): Goal {
    return makeGoal(generation, { ...built, buildId: built.digest }, more);
  }

  /** Waits for what the host says of the application. */
  status(
    what: string,
    holds: (status: HostApplicationStatus) => boolean,
  ): Promise<HostApplicationStatus> {
    return eventually(what, () => {
      const status = this.said?.applications.find(({ application }) => application === "web");
      return status !== undefined && holds(status) && status;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(this.said?.applications)}`);
    });
  }

  /** What answers on the host's port. */
  async service(): Promise<{ version: string; pid: number } | undefined> {
    const answer = await ask(this.#http);
    return answer && { version: answer.version, pid: answer.pid };
  }

  /** A counter's or gauge's value; with a label, that one's. */
  async metric(name: string, label?: string): Promise<number | undefined> {
    const found = await this.metrics.getSingleMetric(name)?.get();
    const isIt = ({ labels }: { labels: object }): boolean =>
      label === undefined || Object.values(labels).includes(label);
    return found?.values.find(isIt)?.value;
  }
}

export interface Built {
  digest: string;
  size: number;
}
