import {
  HostPhase,
  RegionAgentStatus,
  ReplicationState,
  Strategy,
  type Replication,
} from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/config.js";
import { EventBus } from "../../src/events.js";
import type { AnyGoalSource } from "../../src/goal/goal.js";
import { limitsOfSource } from "../../src/goal/goal.js";
import { createDeployment } from "../../src/rollout/create-deployment.js";
import { activeDeployments, findDeployments } from "../../src/rollout/deployment-store.js";
import { Reconciler } from "../../src/rollout/reconciler.js";
import type { RolloutContext } from "../../src/rollout/rollout-context.js";
import { Stats } from "../../src/stats.js";
import { StatusTable } from "../../src/status/status-table.js";
import { addApplication, openTestDatabase, silent, type TestDatabase } from "../postgres.js";
import { countReport } from "./fake-region.js";
import { insertBuild } from "./world.js";

const APPLICATIONS = 300;
const HOSTS = 20;
const CONCURRENCY = 8;

const test = suite("many deployments");
let database: TestDatabase;

test.before(async () => {
  database = await openTestDatabase();
});
test.after(() => database?.close());

/** A coordinator without any server but Postgres, on a clock that the test moves. */
class Bench {
  now = 1_000_000;
  /** By application: what was published last. */
  readonly goals = new Map<string, AnyGoalSource>();
  /** By application: when its goal was written. */
  readonly writes = new Map<string, number[]>();
  readonly status = new StatusTable(() => this.now);
  readonly context: RolloutContext;

  constructor({ db, url }: TestDatabase) {
    const config = resolveConfig({
      listen: { host: "127.0.0.1", port: 0 },
      databaseUrl: url,
      replicationDatabaseUrl: "postgres://not-used/replication",
      natsUrls: [],
      goalKeyFile: "",
    });
    const parts = {
      config,
      log: silent,
      clock: { now: () => this.now },
      steady: { now: () => this.now },
      db,
      replicationDb: db,
      events: new EventBus(silent),
      status: this.status,
      stats: new Stats(),
      replicationStatus: {
        get: (digests: readonly string[]) => Promise.resolve(complete(digests)),
      },
      goals: {
        generation: () => Promise.resolve(0),
        publish: (goal: AnyGoalSource) => Promise.resolve(this.#publish(goal)),
      },
    };
    this.context = parts as unknown as RolloutContext;
  }

  #publish(goal: AnyGoalSource): { outcome: "written"; beyond: object } {
    const { application } = goal;
    this.goals.set(application, goal);
    this.writes.set(application, [...(this.writes.get(application) ?? []), this.now]);
    return { outcome: "written", beyond: {} };
  }

  /** What regions say a second later, whose hosts do at once what they are told. */
  tick(): void {
    this.now += 1_000;
    for (const region of ["eu", "us"]) {
      const agent = RegionAgentStatus.fromPartial({ region, agentId: "a", leaderTerm: 1 });
      this.status.putAgent(agent, this.now);
      for (const goal of this.goals.values()) {
        const { application, generation } = goal;
        const report = { application, generation, phases: [[HostPhase.RUNNING, HOSTS]] as const };
        const counts = countReport(report, limitsOfSource(goal)[region] ?? 0);
        this.status.putApplication({ ...counts, region, agentId: "a" });
      }
    }
  }
}

function complete(digests: readonly string[]): Map<string, Replication[]> {
  const state = ReplicationState.COMPLETE;
  return new Map(
    digests.map((artifactDigest) => [
      artifactDigest,
      ["eu", "us"].map((region) => {
        const bytes = { bytesCopied: 1, sizeBytes: 1 };
        return { region, artifactDigest, state, ...bytes, message: "", updateTime: undefined };
      }),
    ]),
  );
}

/** Does the work for every item, some at a time. */
async function forEach<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items];
  const next = async (): Promise<void> => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, next));
}

test("300 applications that are deployed at once go through all steps in a few looks each", async () => {
  const { db } = database;
  const bench = new Bench(database);
  const { context } = bench;
  const hosts = ["eu", "us"].flatMap((region) =>
    Array.from({ length: HOSTS }, (_, n) => {
      return { host_id: `${region}-${n}`, region, cell: "", labels: "{}" };
    }),
  );
  await db("hosts").insert(hosts);
  const bakeTime = { seconds: 0 };
  const strategy = Strategy.fromPartial({
    waves: [
      { regions: ["eu"], percents: [10], bakeTime },
      { regions: ["*"], percents: [50, 100], bakeTime },
    ],
  });
  const names = Array.from({ length: APPLICATIONS }, (_, n) => `app-${n}`);
  const ids: string[] = [];
  await forEach(names, async (name) => {
    await addApplication(db, name);
    const { id: buildId } = await insertBuild(db, { name, revision: 1 });
    const options = { buildId, waitForReplication: false, strategy, overrideFreeze: false };
    const asked = { creator: "", reason: "", idempotencyKey: "", request: "" };
    const { deployment } = await createDeployment(context, options, asked);
    ids.push(deployment.id);
  });

  const reconciler = new Reconciler(context);
  // 10 percent of one region, then twice to 50 and twice to 100 of both, a quarter at once: five
  // raises, the first look that publishes, and one that hears of the last hosts.
  const most = 7;
  let looks = 0;
  for (; (await activeDeployments(db)).length > 0; looks += 1) {
    assert.ok(looks < most, `not done after ${looks} looks at each`);
    bench.tick();
    await forEach(names, (name) => reconciler.look(name));
  }
  const done = await findDeployments(db, ids);
  assert.is(done.length, APPLICATIONS);
  assert.ok(done.every(({ snapshot }) => snapshot.state === "SUCCEEDED"));
  for (const times of bench.writes.values()) {
    assert.ok(times.every((time, n) => n === 0 || time - (times[n - 1] ?? 0) >= 1_000));
  }
});

test.run();
