import { sign, verify } from "node:crypto";
import path from "node:path";
import { readIdentity } from "@slipway/agent/swarm";
import {
  Goal,
  GOAL_SIGNATURE_CONTEXT,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  MembershipCertificate,
  regionGoalsBucket,
  SignedGoal,
} from "@slipway/proto";
import { BuildStatus, DeploymentState, durationFromMs } from "@slipway/sdk";
import { connect, type KV, type NatsConnection } from "nats";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sampleApplication } from "../../src/demo/sample-application.js";
import { createSampleRepository, type SampleRepository } from "../../src/demo/sample-repository.js";
import { waitFor } from "../wait-for.js";
import { type NamedPair, RootedFleet } from "./rooted-fleet.js";

const application = "shop";
const AGENTS = ["eu-1", "h1", "h2"];
const rotation = suite("a fleet whose goal and membership keys are followed by others");
let fleet: RootedFleet;
let oldGoal: NamedPair;
let newGoal: NamedPair;
let oldMembership: NamedPair;
let newMembership: NamedPair;
let repository: SampleRepository;
let connection: NatsConnection;
let bucket: KV;
let processes: string[];

rotation.before(async () => {
  fleet = await RootedFleet.open(async (made) => {
    [oldGoal, newGoal] = [await made.key("goal-1"), await made.key("goal-2")];
    [oldMembership, newMembership] = [await made.key("member-1"), await made.key("member-2")];
    return { goal: [oldGoal], membership: [oldMembership] };
  });
  await fleet.startAgents();
  repository = await createSampleRepository(path.join(fleet.dir, "repository"), "First");
  const waves = [{ regions: ["*"], percents: [100], bakeTime: durationFromMs(0) }];
  const spec = {
    ...sampleApplication(repository.path, ["eu"]),
    strategy: { waves, maxSwitchingPercent: 100 },
  };
  await fleet.client.applications.apply({ name: application, spec });
  connection = await connect({ servers: fleet.natsUrl });
});
rotation.after(async () => {
  await connection?.close();
  await fleet?.close();
});

async function deploy(message?: string): Promise<void> {
  const { client } = fleet;
  const signal = AbortSignal.timeout(120_000);
  if (message !== undefined) await repository.change("index", message);
  const { build } = await client.builds.submit({ application, commitSha: repository.head });
  const built = await client.builds.waitUntilDeployable(build.id, { signal });
  assert.is(built.status, BuildStatus.SUCCEEDED, built.failure?.message);
  const { id } = await client.deployments.create({ buildId: built.id });
  const { deployment } = await client.deployments.waitUntilFinished(id, { signal });
  assert.is(deployment.state, DeploymentState.SUCCEEDED, deployment.failure?.message);
}

const regionalGoal = async (): Promise<SignedGoal> => {
  const entry = await bucket.get(application);
  return SignedGoal.decode(entry?.value ?? Buffer.alloc(0));
};
const goesBy = (version: number) =>
  waitFor(
    async () => {
      const hosts = await fleet.hosts();
      return hosts.length === 2 && hosts.every(({ status }) => status?.keySetVersion === version);
    },
    60_000,
    `hosts that go by key set ${version}`,
  );
const certifiedBy = ({ publicKey }: NamedPair) =>
  waitFor(
    async () => {
      const identities = await Promise.all(
        AGENTS.map((id) => readIdentity(fleet.identityFile(id))),
      );
      return identities.every(({ certificate }) => {
        const { payload, signature } = MembershipCertificate.decode(certificate);
        const context = Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT);
        return verify(null, Buffer.concat([context, payload]), publicKey, signature);
      });
    },
    60_000,
    "agents to have certificates of that key",
  );
const faults = async (): Promise<string[]> =>
  (await fleet.hosts()).flatMap(({ status }) =>
    (status?.applications ?? []).flatMap(({ failure }) => failure?.message ?? []),
  );

rotation("begins with one of each, of which agents hear when they join", async () => {
  await goesBy(1);
  await deploy();
  processes = await fleet.processes(application);
  bucket = await connection
    .jetstream()
    .views.kv(regionGoalsBucket("eu"), { bindOnly: true, allow_direct: true });
  assert.is((await regionalGoal()).keyId, oldGoal.keyId);
  await certifiedBy(oldMembership);
});

rotation("takes others beside them, and goes over to them without a restart", async () => {
  await fleet.publish(2, {
    goal: [oldGoal, newGoal],
    membership: [oldMembership, newMembership],
  });
  await goesBy(2);
  await fleet.restartCoordinator(newGoal, newMembership);
  await waitFor(
    async () => (await regionalGoal()).keyId === newGoal.keyId,
    60_000,
    "the goal to be signed anew",
  );
  await certifiedBy(newMembership);
  assert.equal(await faults(), []);
  assert.equal(await fleet.processes(application), processes);
});

rotation("lets the old ones go: nothing that they signed holds any more", async () => {
  const good = await regionalGoal();
  await fleet.publish(3, { goal: [newGoal], membership: [newMembership] });
  await goesBy(3);
  const goal = Goal.decode(good.payload);
  const payload = Buffer.from(
    Goal.encode({ ...goal, generation: goal.generation + 1, bucketLimit: 10_000 }).finish(),
  );
  const message = Buffer.concat([Buffer.from(GOAL_SIGNATURE_CONTEXT), payload]);
  const signature = sign(null, message, oldGoal.privateKey);
  const forged = SignedGoal.encode({ payload, signature, keyId: oldGoal.keyId }).finish();
  const refused = (): number => fleet.errors.filter((error) => error === "goal refused").length;
  assert.is(refused(), 0);
  await bucket.put(application, forged);
  await waitFor(() => refused() === 2, 60_000, "both hosts to refuse it");
  await waitFor(
    async () => (await regionalGoal()).keyId === newGoal.keyId,
    60_000,
    "the region to put it right",
  );
  await waitFor(async () => (await faults()).length === 0, 60_000, "no fault to be left");
  assert.equal(await fleet.processes(application), processes);
});

rotation("goes on as ever with the new ones", async () => {
  await deploy("Second");
  assert.equal(await faults(), []);
  assert.not.equal(await fleet.processes(application), processes);
});

rotation.run();
