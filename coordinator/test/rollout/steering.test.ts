import { status } from "@grpc/grpc-js";
import {
  DeploymentFailureReason,
  DeploymentState,
  HostFailureReason,
  HostPhase,
  OnFailure,
  PauseReason,
  Promotion,
  StepPhase,
  Strategy,
  type Deployment,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createFreeze, endFreeze, freezesAtCommit } from "../../src/freeze/freezes.js";
import { call } from "../call.js";
import { FakeRegion } from "./fake-region.js";
import {
  applyApplication,
  AT_ONCE,
  createDeployment,
  failure,
  insertBuild,
  replicate,
  startWorld,
  until,
  type Clients,
  type TestStrategy,
  type World,
} from "./world.js";

const { RUNNING, ACTIVATING, FAILED } = HostPhase;
const { PENDING, WAITING, PAUSED, SUCCEEDED, ABORTED, SUPERSEDED } = DeploymentState;
const HOSTS = 10;
const NO_TIME = { seconds: 0 };

const test = suite("steering deployments");
let world: World;
let clients: Clients;
let eu: FakeRegion;
let us: FakeRegion;
let names = 0;

test.before(async () => {
  world = await startWorld();
  ({ clients } = await world.coordinator({ reconcileIntervalMs: 300, pollIntervalMs: 300 }));
  const hosts = ["eu", "us"].flatMap((region) =>
    Array.from({ length: HOSTS }, (_, n) => {
      return { hostId: `${region}-h${n}`, region, cell: "", labels: {} };
    }),
  );
  await call(clients.fleet, "enrolHosts", { hosts });
  eu = await FakeRegion.start(world.nats, "eu");
  us = await FakeRegion.start(world.nats, "us");
});

test.after(async () => {
  eu?.stop();
  us?.stop();
  await world?.stop();
});

const freshName = (): string => `app-${++names}`;

/** A build of the application, replicated. */
async function build(name: string, strategy: TestStrategy, version = "1"): Promise<string> {
  const regions = ["eu", "us"];
  const application = await applyApplication(clients, name, regions, { strategy, version });
  const { id, digest } = await insertBuild(world.db, application);
  await replicate(clients, digest, regions);
  return id;
}

async function read(id: string): Promise<Deployment> {
  const { deployment } = await call(clients.deployments, "getDeployment", { id });
  if (deployment === undefined) throw new Error("no deployment");
  return deployment;
}

function reached(id: string, state: DeploymentState): Promise<Deployment> {
  return until(`${id} to be ${DeploymentState[state]}`, async () => {
    const deployment = await read(id);
    return deployment.state === state && deployment;
  });
}

/** What hosts come to in both regions. */
async function hosts(
  { application, generation }: Deployment,
  phases: readonly (readonly [HostPhase, number])[] = [[RUNNING, HOSTS]],
  extra: object = {},
): Promise<void> {
  for (const region of [eu, us]) {
    await region.report({ application, generation, phases, ...extra });
  }
}

/** Deploys a build of a new application at once, and it succeeds. */
async function runs(name: string): Promise<Deployment> {
  const deployment = await createDeployment(clients, { buildId: await build(name, AT_ONCE) });
  await hosts(deployment);
  return reached(deployment.id, SUCCEEDED);
}

const by = (actor: string, reason = "") => ({ actor, reason });
const pause = ({ id }: Deployment, actor = "bob") =>
  call(clients.deployments, "pauseDeployment", { id, ...by(actor, "a look") });
const resume = ({ id }: Deployment) =>
  call(clients.deployments, "resumeDeployment", { id, ...by("bob") });
const promote = ({ id }: Deployment, step: number, actor = "bob") =>
  call(clients.deployments, "promoteDeployment", { id, step, ...by(actor) });
const abort = ({ id }: Deployment, keepSwitched = false) =>
  call(clients.deployments, "abortDeployment", { id, keepSwitched, ...by("bob", "no good") });

async function refused(promise: Promise<unknown>): Promise<[status, string | undefined]> {
  const { code, reason } = await failure(promise);
  return [code, reason];
}

/** Actions in the audit, oldest first. */
async function audited({ id }: Deployment): Promise<string[]> {
  const rows = (await world.db("audit_entries").where({ deployment_id: id }).orderBy("id")) as {
    action: string;
    actor: string;
  }[];
  return rows.map(({ action, actor }) => `${action} by ${actor}`);
}

const CANARY: TestStrategy = {
  waves: [
    { regions: ["eu"], percents: [10], bakeTime: NO_TIME },
    { regions: ["*"], percents: [100], bakeTime: NO_TIME, requiresApproval: true },
  ],
  maxSwitchingPercent: 50,
};

test("a canary switches a tenth of a region, waits for approval, and then goes everywhere", async () => {
  const buildId = await build(freshName(), CANARY);
  const deployment = await createDeployment(clients, { buildId, creator: "ann" });
  assert.equal(
    deployment.steps.map(({ wave, regions, percent }) => [wave, regions, percent]),
    [
      [1, ["eu"], 10],
      [2, ["eu", "us"], 100],
    ],
  );
  await hosts(deployment);
  const waiting = await reached(deployment.id, WAITING);
  assert.equal([waiting.step, waiting.stepPhase], [2, StepPhase.STAGING]);
  const { regions } = await call(clients.deployments, "getDeployment", { id: deployment.id });
  assert.equal(
    regions.map(({ region, bucketLimit, status: counts }) => [
      region,
      bucketLimit,
      counts?.chosenCount,
    ]),
    [
      ["eu", 1_000, 1],
      ["us", 0, 0],
    ],
  );
  assert.equal(await refused(promote(deployment, 2, "ANN")), [
    status.FAILED_PRECONDITION,
    "APPROVAL_REQUIRED",
  ]);
  assert.equal(await refused(promote(deployment, 2, "")), [
    status.FAILED_PRECONDITION,
    "APPROVAL_REQUIRED",
  ]);
  assert.equal(await refused(promote(deployment, 1)), [status.FAILED_PRECONDITION, "NOT_WAITING"]);
  await promote(deployment, 2);
  assert.equal(await refused(promote(deployment, 2)), [status.FAILED_PRECONDITION, "NOT_WAITING"]);
  await reached(deployment.id, SUCCEEDED);
  assert.equal(await audited(deployment), [
    "deployment.create by ann",
    "deployment.start by slipway",
    "deployment.step by slipway",
    "deployment.promote by bob",
    "deployment.succeed by slipway",
  ]);
});

test("a paused deployment tells no further host to switch, and goes on when resumed", async () => {
  const strategy = {
    ...CANARY,
    waves: [{ regions: ["*"], percents: [10, 100], bakeTime: NO_TIME }],
  };
  const deployment = await createDeployment(clients, {
    buildId: await build(freshName(), strategy),
  });
  await hosts(deployment, [[ACTIVATING, HOSTS]]);
  await reached(deployment.id, DeploymentState.RUNNING);
  const { deployment: paused } = await pause(deployment);
  assert.equal(
    [paused?.state, paused?.pause?.reason, paused?.pause?.actor, paused?.pause?.message],
    [PAUSED, PauseReason.REQUESTED, "bob", "a look"],
  );
  assert.is((await pause(deployment, "eve")).deployment?.revision, paused?.revision);
  await hosts(deployment);
  const { regions } = await call(clients.deployments, "getDeployment", { id: deployment.id });
  assert.equal(
    regions.map(({ bucketLimit }) => bucketLimit),
    [1_000, 1_000],
  );
  await resume(deployment);
  const done = await reached(deployment.id, SUCCEEDED);
  assert.is(done.pause, undefined);
  assert.ok((done.deadline?.getTime() ?? 0) > (paused?.deadline?.getTime() ?? 0));
  assert.equal(await refused(pause(deployment)), [status.FAILED_PRECONDITION, "DEPLOYMENT_OVER"]);
  assert.equal(await refused(abort(deployment)), [status.FAILED_PRECONDITION, "DEPLOYMENT_OVER"]);
});

test("one that somebody paused says that too many have failed, and fails when it is resumed", async () => {
  const name = freshName();
  const good = await runs(name);
  const bad = await createDeployment(clients, { buildId: await build(name, AT_ONCE, "2") });
  await hosts(bad, [[ACTIVATING, HOSTS]]);
  await reached(bad.id, DeploymentState.RUNNING);
  await pause(bad);
  await hosts(bad, [[FAILED, HOSTS]]);
  const held = await until("it says so", async () => {
    const { deployment } = await call(clients.deployments, "getDeployment", { id: bad.id });
    return deployment?.blockedBy === "" ? undefined : deployment;
  });
  assert.is(held.state, PAUSED);
  assert.match(held.blockedBy, /^more hosts have failed than may: it fails when it is resumed/);
  await resume(bad);
  const failed = await reached(bad.id, DeploymentState.FAILED);
  const { deployment: back } = await call(clients.deployments, "getDeployment", {
    id: failed.rolledBackBy,
  });
  assert.is(back?.buildId, good.buildId);
});

test("silent hosts pause a deployment, and it goes on by itself once they are heard", async () => {
  const deployment = await createDeployment(clients, {
    buildId: await build(freshName(), AT_ONCE),
  });
  await hosts(deployment, [[ACTIVATING, HOSTS]]);
  await reached(deployment.id, DeploymentState.RUNNING);
  await hosts(deployment, [[ACTIVATING, HOSTS]], { silentCount: 4 });
  const { pause: why } = await reached(deployment.id, PAUSED);
  assert.equal([why?.reason, why?.actor], [PauseReason.HOSTS_SILENT, "slipway"]);
  assert.match(why?.message ?? "", /^8 of 20 hosts .* \(4 in eu, 4 in us\), and at most 1 may be$/);
  await hosts(deployment);
  await reached(deployment.id, SUCCEEDED);
});

test("who resumes it in spite of silent hosts goes on without them, and without no more", async () => {
  const deployment = await createDeployment(clients, {
    buildId: await build(freshName(), AT_ONCE),
  });
  await hosts(deployment, [[ACTIVATING, HOSTS]], { silentCount: 1 });
  await reached(deployment.id, PAUSED);
  await resume(deployment);
  await until("the silence counted", async () => {
    const row = (await world
      .db("deployments")
      .where({ id: deployment.id })
      .first("accepted_silence")) as { accepted_silence: { hosts?: number } };
    return row.accepted_silence.hosts === 2;
  });
  assert.is((await read(deployment.id)).state, DeploymentState.RUNNING);
  await hosts(deployment, [[ACTIVATING, HOSTS]], { silentCount: 2 });
  await reached(deployment.id, PAUSED);
  await resume(deployment);
  await hosts(deployment, [[RUNNING, HOSTS]], { silentCount: 2 });
  await reached(deployment.id, SUCCEEDED);
  const actions = await audited(deployment);
  assert.equal(
    actions.filter((action) => /pause|resume/.test(action)),
    [
      "deployment.pause by slipway",
      "deployment.resume by bob",
      "deployment.pause by slipway",
      "deployment.resume by bob",
    ],
  );
});

test("too many failures put back what ran before, in the same instant", async () => {
  const name = freshName();
  const good = await runs(name);
  const bad = await createDeployment(clients, { buildId: await build(name, AT_ONCE, "2") });
  const failures = [["eu-h1", HostFailureReason.UNHEALTHY, "503"]] as const;
  await hosts(
    bad,
    [
      [RUNNING, 8],
      [FAILED, 2],
    ],
    { failures },
  );
  const failed = await reached(bad.id, DeploymentState.FAILED);
  assert.is(failed.failure?.reason, DeploymentFailureReason.HOSTS_FAILED);
  const back = await read(failed.rolledBackBy);
  assert.equal(
    [back.buildId, back.isRollback, back.creator, back.generation, back.steps.length],
    [good.buildId, true, "slipway", 3, 1],
  );
  assert.match(back.reason, /^automatic: HOSTS_FAILED: \d of \d+ hosts/);
  const { regions } = await call(clients.deployments, "getDeployment", { id: back.id });
  assert.ok(regions.every(({ bucketLimit }) => bucketLimit === 10_000));
  // A roll-back that fails is not rolled back.
  await hosts(back, [[FAILED, HOSTS]]);
  assert.is((await reached(back.id, DeploymentState.FAILED)).rolledBackBy, "");
});

test("told to stop on failure, hosts keep what they have", async () => {
  const name = freshName();
  await runs(name);
  const strategy = Strategy.fromPartial({ ...AT_ONCE, onFailure: OnFailure.STOP });
  const buildId = await build(name, AT_ONCE, "2");
  const bad = await createDeployment(clients, { buildId, strategy });
  await hosts(bad, [[FAILED, HOSTS]]);
  assert.is((await reached(bad.id, DeploymentState.FAILED)).rolledBackBy, "");
});

test("an abort puts back what ran before, unless told not to, and once only", async () => {
  const name = freshName();
  const good = await runs(name);
  const bad = await createDeployment(clients, { buildId: await build(name, AT_ONCE, "2") });
  await hosts(bad, [[ACTIVATING, HOSTS]]);
  await reached(bad.id, DeploymentState.RUNNING);
  const { deployment, rollBack } = await abort(bad);
  assert.is(rollBack?.reason, "aborted by bob: no good");
  assert.equal(
    [deployment?.state, deployment?.rolledBackBy, rollBack?.buildId, rollBack?.isRollback],
    [ABORTED, rollBack?.id, good.buildId, true],
  );
  const again = await abort(bad);
  assert.equal(
    [again.deployment?.revision, again.rollBack?.id],
    [deployment?.revision, rollBack?.id],
  );

  const next = await createDeployment(clients, { buildId: await build(name, AT_ONCE, "3") });
  assert.is((await read(rollBack?.id ?? "")).state, SUPERSEDED);
  const undone = await abort(next);
  assert.equal(
    [undone.deployment?.state, undone.rollBack?.buildId, undone.rollBack?.isRollback],
    [ABORTED, good.buildId, true],
    "what was on its way back goes on",
  );

  const last = await createDeployment(clients, { buildId: await build(name, AT_ONCE, "4") });
  await hosts(last, [[ACTIVATING, HOSTS]]);
  await reached(last.id, DeploymentState.RUNNING);
  const kept = await abort(last, true);
  assert.equal([kept.deployment?.state, kept.rollBack], [ABORTED, undefined]);
});

/** The build that is put back by an abort, if one is. */
async function back(deployment: Deployment, keep = false): Promise<string | undefined> {
  return (await abort(deployment, keep)).rollBack?.buildId;
}

test("an abort puts back what hosts of those run that it has superseded, but by nobody's will", async () => {
  const name = freshName();
  const good = await runs(name);
  const begin = async (version: string): Promise<Deployment> => {
    const buildId = await build(name, AT_ONCE, version);
    return createDeployment(clients, { buildId });
  };
  const switching = async (version: string): Promise<Deployment> => {
    const deployment = await begin(version);
    await hosts(deployment, [[ACTIVATING, HOSTS]]);
    return reached(deployment.id, DeploymentState.RUNNING);
  };

  assert.is(await back(await begin("2")), undefined, "nobody runs anything else");
  await switching("3");
  await begin("4");
  assert.is(await back(await begin("5")), good.buildId);
  await switching("6");
  const same = await createDeployment(clients, { buildId: good.buildId });
  assert.is(await back(same), good.buildId, "the very build that was not told to them yet");
  await switching("7");
  assert.is(await back(await begin("8"), true), undefined);
  assert.is(await back(await begin("9")), undefined, "somebody wanted it to stay");
  const { deployment: rolling } = await call(clients.deployments, "rollBack", {
    application: name,
    toBuildId: good.buildId,
    creator: "",
    reason: "",
    idempotencyKey: "",
  });
  assert.is(await back(rolling as Deployment), undefined, "it told all of them itself");
});

test("promotion by hand waits before every step but the first", async () => {
  const strategy = Strategy.fromPartial({
    ...AT_ONCE,
    waves: [{ regions: ["*"], percents: [10, 100], bakeTime: NO_TIME }],
    promotion: Promotion.MANUAL,
  });
  const buildId = await build(freshName(), AT_ONCE);
  const deployment = await createDeployment(clients, { buildId, strategy });
  await hosts(deployment);
  await reached(deployment.id, WAITING);
  // The creator may, where no approval is asked for.
  await promote(deployment, 2, "");
  await reached(deployment.id, SUCCEEDED);
});

test("a frozen application is not deployed, unless the freeze is overridden and why is said", async () => {
  const name = freshName();
  const buildId = await build(name, AT_ONCE);
  await world.db("freezes").insert({
    id: "01890000-0000-7000-8000-00000000000f",
    application: name,
    actor: "eve",
    reason: "holidays",
    expire_time: new Date(Date.now() + 3_600_000),
  });
  const frozen = await failure(createDeployment(clients, { buildId }));
  assert.equal([frozen.code, frozen.reason], [status.FAILED_PRECONDITION, "FROZEN"]);
  assert.match(frozen.details, /is frozen until .* by eve \(holidays\)/);
  const unsaid = await failure(createDeployment(clients, { buildId, overrideFreeze: true }));
  assert.is(unsaid.code, status.INVALID_ARGUMENT);
  const deployment = await createDeployment(clients, {
    buildId,
    overrideFreeze: true,
    reason: "the shop is down",
  });
  await hosts(deployment);
  await reached(deployment.id, SUCCEEDED);
});

test("a freeze that begins meanwhile holds the next step until it is over", async () => {
  const name = freshName();
  const deployment = await createDeployment(clients, { buildId: await build(name, AT_ONCE) });
  await world.db("freezes").insert({
    id: "01890000-0000-7000-8000-00000000000e",
    application: name,
    actor: "eve",
    reason: "audit",
    expire_time: new Date(Date.now() + 3_600_000),
  });
  await hosts(deployment);
  const held = await until("what it waits for", async () => {
    const now = await read(deployment.id);
    return now.blockedBy !== "" && now;
  });
  assert.equal([held.state, held.blockedBy.endsWith("(audit)")], [PENDING, true]);
  const row = () => world.db("deployments").where({ id: deployment.id }).first("held_time");
  assert.instance(((await row()) as { held_time: unknown }).held_time, Date);
  await world.db("freezes").where({ application: name }).update({ end_time: new Date() });
  await reached(deployment.id, SUCCEEDED);
  assert.equal(await row(), { held_time: null });
});

/** Somebody waits for a freeze to be made, or for what must come before one. */
const awaitsFreeze = (mode: "ShareLock" | "ExclusiveLock"): Promise<unknown> =>
  until("one that waits", async () => {
    const waiting = { locktype: "advisory", granted: false, mode };
    const found: unknown = await world.db("pg_locks").where(waiting).first("pid");
    return found !== undefined;
  });

const eve = { actor: "eve", reason: "audit" };
const anHour = () => ({ expireTime: new Date(Date.now() + 3_600_000), maxMs: 86_400_000 });

test("a step or a deployment that is to begin waits for a freeze that is being made", async () => {
  const name = freshName();
  const buildId = await build(name, AT_ONCE);
  const deployment = await createDeployment(clients, { buildId });
  const freeze = await world.db.transaction(async (trx) => {
    const made = await createFreeze(trx, { application: name }, anHour(), eve);
    await hosts(deployment);
    await awaitsFreeze("ShareLock");
    assert.is((await read(deployment.id)).stepPhase, StepPhase.STAGING);
    return made;
  });
  const held = await until("what it waits for", async () => {
    const now = await read(deployment.id);
    return now.blockedBy !== "" && now;
  });
  assert.equal([held.state, held.stepPhase], [PENDING, StepPhase.STAGING]);
  assert.ok(await endFreeze(world.db, freeze.id, eve));
  await reached(deployment.id, SUCCEEDED);

  const { next, made } = await world.db.transaction(async (trx) => {
    const other = await createFreeze(trx, { region: "us" }, anHour(), eve);
    const created = refused(createDeployment(clients, { buildId }));
    await awaitsFreeze("ShareLock");
    return { next: created.catch(String), made: other };
  });
  assert.equal(await next, [status.FAILED_PRECONDITION, "FROZEN"]);
  await endFreeze(world.db, made.id, eve);
});

test("a freeze is made once what has just begun is written", async () => {
  let made = false;
  const making = await world.db.transaction(async (trx) => {
    assert.equal(await freezesAtCommit(trx, "any", ["eu"]), []);
    const freeze = createFreeze(world.db, { region: "eu" }, anHour(), eve);
    const settled = freeze.then((created) => {
      made = true;
      return created;
    });
    await awaitsFreeze("ExclusiveLock");
    assert.not(made);
    return { settled };
  });
  await endFreeze(world.db, (await making.settled).id, eve);
});

test("bad strategies, people and steps are refused with what is wrong with them", async () => {
  const buildId = await build(freshName(), AT_ONCE);
  const strategy = Strategy.fromPartial({ waves: [{ regions: ["mars"] }] });
  const bad = await failure(createDeployment(clients, { buildId, strategy }));
  assert.is(bad.code, status.INVALID_ARGUMENT);
  assert.match(bad.details, /strategy\.waves\[0\]\.regions/);
  const deployment = await createDeployment(clients, { buildId });
  assert.is((await refused(promote(deployment, 0)))[0], status.INVALID_ARGUMENT);
  assert.equal(await refused(promote(deployment, 1)), [status.FAILED_PRECONDITION, "NOT_WAITING"]);
  assert.is((await refused(pause(deployment, "x".repeat(256))))[0], status.INVALID_ARGUMENT);
  const unknown = { ...deployment, id: "01890000-0000-7000-8000-000000000000" };
  assert.equal(await refused(abort(unknown)), [status.NOT_FOUND, "DEPLOYMENT_NOT_FOUND"]);
  assert.is((await read(deployment.id)).revision, deployment.revision);
});

test.run();
