import { BuildFailureReason, type Artifact, type BuildFailure } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DomainError } from "../../src/errors.js";
import type { BuildQueue, LeasedBuild, Submission } from "../../src/queue/queue.js";
import { eventually, sha } from "../postgres.js";

/** What a queue must offer to be tested. Each application name is used by one test alone. */
export interface QueueUnderTest {
  /** A queue with this lease period; all share one store. */
  queue(leaseDurationMs: number): BuildQueue;
  addApplication(name: string, maxAttempts: number): Promise<void>;
  /** Status and what goes with it, as it is kept. */
  read(buildId: string): Promise<{
    status: string;
    attempt: number;
    builderId: string;
    failure: BuildFailureReason | undefined;
    digest: string | undefined;
  }>;
  /** Removes all builds. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

const BY = { actor: "ann", reason: "" };
const LEASE_MS = 60_000;
const artifact = (fill: string): Artifact => ({
  digest: `sha256:${fill.repeat(64)}`,
  sizeBytes: 10_000_000_000,
  chunkCount: 9_537,
  platform: "linux/x64",
});
const failure: BuildFailure = {
  reason: BuildFailureReason.COMMAND_FAILED,
  message: "make: exit 2",
  exitCode: 2,
};

const code = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DomainError) return error.reason;
    throw error;
  }
  return "none";
};

/** What every build queue must do. Ends with `run()`. */
export function queueConformance(name: string, open: () => Promise<QueueUnderTest>): void {
  const test = suite(name);
  let under: QueueUnderTest;
  let queue: BuildQueue;

  test.before(async () => {
    under = await open();
    queue = under.queue(LEASE_MS);
    await under.addApplication("shop", 3);
    await under.addApplication("till", 3);
    await under.addApplication("once", 1);
  });
  test.after(() => under.close());
  test.before.each(() => under.clear());

  const submit = (number: number, more: Partial<Submission> = {}) =>
    queue.submit({
      application: "shop",
      commitSha: sha(number),
      idempotencyKey: "",
      submitter: "ann",
      ...more,
    });
  const leaseOne = async (builderId: string): Promise<LeasedBuild> => {
    const [build] = await queue.lease([builderId]);
    if (build === undefined) throw new Error("nothing is queued");
    return build;
  };

  test("first in, first out", async () => {
    const ids: string[] = [];
    for (let number = 1; number <= 5; number += 1) ids.push((await submit(number)).buildId);
    const leased: string[] = [];
    for (let count = 0; count < 5; count += 1) leased.push((await leaseOne("b1")).buildId);
    assert.equal(leased, ids);
    assert.equal(await queue.lease(["b1"]), []);
  });

  test("a lease carries what the builder needs", async () => {
    const { buildId } = await submit(1);
    const build = await leaseOne("b1");
    assert.is(build.buildId, buildId);
    assert.is(build.attempt, 1);
    assert.is(build.application, "shop");
    assert.is(build.applicationRevision, 1);
    assert.is(build.commitSha, sha(1));
    assert.equal(build.spec.build?.command, ["make"]);
    assert.equal((await under.read(buildId)).status, "RUNNING");
  });

  test("a batch gives each mention of a builder one build", async () => {
    for (let number = 1; number <= 3; number += 1) await submit(number);
    const leased = await queue.lease(["b1", "b2", "b1", "b3"]);
    assert.is(leased.length, 3);
    assert.equal(leased.map(({ builderId }) => builderId).sort(), ["b1", "b1", "b2"]);
  });

  test("concurrent leases never share a build", async () => {
    await Promise.all(Array.from({ length: 200 }, (_, number) => submit(number + 1)));
    const others = [under.queue(LEASE_MS), under.queue(LEASE_MS), queue];
    const leased = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        (others[index % 3] ?? queue).lease(Array.from({ length: 10 }, () => `b${index}`)),
      ),
    );
    const ids = leased.flat().map(({ buildId }) => buildId);
    // Rows that another statement holds are skipped, so some may be left; none is given twice.
    assert.is(new Set(ids).size, ids.length);
    const rest = await queue.lease(Array.from({ length: 200 }, () => "last"));
    assert.is(ids.length + rest.length, 200);
  });

  test("submissions of the same commit are one build with two submitters", async () => {
    const first = await submit(1);
    const second = await submit(1, { submitter: "bob" });
    assert.is(second.buildId, first.buildId);
    assert.is.not(second.submissionId, first.submissionId);
    assert.equal([first.merged, second.merged], [false, true]);
    const running = await leaseOne("b1");
    assert.is((await submit(1)).buildId, running.buildId);
    await queue.complete(running, artifact("a"));
    const again = await submit(1);
    assert.is.not(again.buildId, running.buildId);
    assert.is(again.merged, false);
  });

  test("many submissions at once of the same commit are one build", async () => {
    const others = [queue, under.queue(LEASE_MS), under.queue(LEASE_MS)];
    const all = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        (others[index % 3] ?? queue).submit({
          application: "shop",
          commitSha: sha(index % 2),
          idempotencyKey: "",
          submitter: "",
        }),
      ),
    );
    assert.is(new Set(all.map(({ buildId }) => buildId)).size, 2);
    assert.is(all.filter(({ merged }) => !merged).length, 2);
  });

  test("an idempotency key names one build for ever", async () => {
    const first = await submit(1, { idempotencyKey: "k1" });
    const again = await submit(1, { idempotencyKey: "k1" });
    assert.equal(again, { ...first, merged: true });
    const lease = await leaseOne("b1");
    await queue.complete(lease, artifact("a"));
    assert.is((await submit(1, { idempotencyKey: "k1" })).buildId, first.buildId);
    const other = submit(2, { idempotencyKey: "k1" });
    assert.is(await code(other), "IDEMPOTENCY_KEY_REUSED");
    const elsewhere = submit(1, { application: "till", idempotencyKey: "k1" });
    assert.is(await code(elsewhere), "IDEMPOTENCY_KEY_REUSED");
  });

  test("an idempotency key used at once by many is one submission", async () => {
    const others = [queue, under.queue(LEASE_MS), under.queue(LEASE_MS)];
    const all = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        (others[index % 3] ?? queue).submit({
          application: "shop",
          commitSha: sha(7),
          idempotencyKey: "k2",
          submitter: "",
        }),
      ),
    );
    assert.is(new Set(all.map(({ submissionId }) => submissionId)).size, 1);
  });

  test("an unknown application fails alone in its batch", async () => {
    const [good, bad] = await Promise.allSettled([submit(1), submit(1, { application: "none" })]);
    assert.is(good.status, "fulfilled");
    assert.is(bad.status, "rejected");
    assert.is(await code(submit(1, { application: "none" })), "APPLICATION_NOT_FOUND");
  });

  test("heartbeat, check and results are refused without the lease", async () => {
    const { buildId } = await submit(1);
    const lease = await leaseOne("b1");
    assert.is(await queue.heartbeat(lease), "held");
    assert.is(await queue.check(lease), "held");
    const stranger = { ...lease, builderId: "b2" };
    const future = { ...lease, attempt: 2 };
    const nobody = { ...lease, buildId: "00000000-0000-7000-8000-000000000000" };
    for (const wrong of [stranger, future, nobody]) {
      assert.is(await queue.heartbeat(wrong), "unknown");
      assert.is(await queue.check(wrong), "unknown");
      assert.is(await queue.complete(wrong, artifact("a")), "unknown");
      assert.is(await queue.fail(wrong, failure, false), "unknown");
    }
    assert.is((await under.read(buildId)).status, "RUNNING");
    // A wrong one does not spoil the right one that goes with it.
    const together = await Promise.all([future, lease].map((one) => queue.heartbeat(one)));
    assert.equal(together, ["unknown", "held"]);
    const results = await Promise.all(
      [future, lease].map((one) => queue.complete(one, artifact("a"))),
    );
    assert.equal(results, ["unknown", "held"]);
  });

  test("the same completion said twice is accepted, another is not", async () => {
    const { buildId } = await submit(1);
    const lease = await leaseOne("b1");
    const same = await Promise.all([
      queue.complete(lease, artifact("a")),
      queue.complete(lease, artifact("a")),
      queue.complete(lease, artifact("b")),
    ]);
    assert.equal(same, ["held", "held", "superseded"]);
    assert.is(await queue.complete(lease, artifact("a")), "held");
    assert.is(await queue.complete(lease, artifact("b")), "superseded");
    assert.is(await queue.fail(lease, failure, false), "superseded");
    assert.is(await queue.heartbeat(lease), "superseded");
    const build = await under.read(buildId);
    assert.is(build.status, "SUCCEEDED");
    assert.is(build.digest, artifact("a").digest);
  });

  test("a failure ends a build; said twice it is accepted", async () => {
    const { buildId } = await submit(1);
    const lease = await leaseOne("b1");
    assert.is(await queue.fail(lease, failure, false), "held");
    assert.is(await queue.fail(lease, failure, false), "held");
    assert.is(await queue.complete(lease, artifact("a")), "superseded");
    const build = await under.read(buildId);
    assert.equal([build.status, build.failure], ["FAILED", BuildFailureReason.COMMAND_FAILED]);
  });

  test("a failure with retry goes to the front, until attempts are used up", async () => {
    const { buildId } = await submit(1);
    await submit(2);
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const lease = await leaseOne(`b${attempt}`);
      assert.equal([lease.buildId, lease.attempt], [buildId, attempt]);
      assert.is(await queue.fail(lease, failure, true), "held");
      assert.is(await queue.fail(lease, failure, true), "held");
    }
    const build = await under.read(buildId);
    const expected = ["FAILED", BuildFailureReason.ATTEMPTS_EXHAUSTED];
    assert.equal([build.status, build.failure], expected);
    assert.is.not((await leaseOne("b9")).buildId, buildId);
  });

  test("released builds are as if they had not been leased", async () => {
    const { buildId } = await submit(1, { application: "once" });
    const lease = await leaseOne("b1");
    await queue.release([lease]);
    assert.is((await under.read(buildId)).attempt, 0);
    const again = await leaseOne("b2");
    assert.is(again.attempt, 1);
    await queue.release([lease]);
    assert.is(await queue.check(again), "held");
  });

  test("cancelling detaches one submission, and the last one ends the build", async () => {
    const first = await submit(1);
    const second = await submit(1);
    const lease = await leaseOne("b1");
    await queue.cancel(first.buildId, first.submissionId, BY);
    await queue.cancel(first.buildId, first.submissionId, BY);
    assert.is(await queue.check(lease), "held");
    await queue.cancel(first.buildId, second.submissionId, BY);
    assert.is(await queue.check(lease), "cancelled");
    assert.is(await queue.heartbeat(lease), "cancelled");
    assert.is(await queue.complete(lease, artifact("a")), "cancelled");
    const build = await under.read(first.buildId);
    assert.equal([build.status, build.failure], ["FAILED", BuildFailureReason.CANCELLED]);
    assert.is(await code(queue.cancel(first.buildId, second.submissionId, BY)), "BUILD_ENDED");
    assert.is(await code(queue.cancel(first.buildId, undefined, BY)), "BUILD_ENDED");
  });

  test("cancelling for all, and of what is not there", async () => {
    const { buildId } = await submit(1);
    await submit(1);
    const other = await submit(2);
    assert.is(await code(queue.cancel(buildId, other.submissionId, BY)), "SUBMISSION_NOT_FOUND");
    await queue.cancel(buildId, undefined, BY);
    assert.is((await under.read(buildId)).status, "FAILED");
    assert.is((await leaseOne("b1")).buildId, other.buildId);
    const nobody = "00000000-0000-7000-8000-000000000000";
    assert.is(await code(queue.cancel(nobody, undefined, BY)), "BUILD_NOT_FOUND");
    // A cancelled build is not joined.
    assert.is.not((await submit(1)).buildId, buildId);
  });

  test("cancelling while others join leaves no build without its submitters", async () => {
    for (let number = 1; number <= 20; number += 1) {
      const first = await submit(number);
      const [, joined] = await Promise.all([
        queue.cancel(first.buildId, first.submissionId, BY),
        submit(number),
      ]);
      assert.is((await under.read(joined.buildId)).status, "QUEUED");
    }
  });

  test("an expired lease is rescued to the front, then the attempts run out", async () => {
    const brief = under.queue(50);
    const { buildId } = await submit(1);
    await submit(2);
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const [lease] = await brief.lease(["b1"]);
      assert.equal([lease?.buildId, lease?.attempt], [buildId, attempt]);
      assert.equal(
        await under
          .queue(LEASE_MS)
          .backlog()
          .then(({ count }) => count),
        1,
      );
      const rescued = await eventually(async () => {
        const result = await queue.rescue();
        return result.requeued.length + result.failed.length > 0 ? result : undefined;
      });
      const expected =
        attempt < 3 ? { requeued: [buildId], failed: [] } : { requeued: [], failed: [buildId] };
      assert.equal(rescued, expected);
      if (lease === undefined) throw new Error("nothing was leased");
      assert.is(await queue.heartbeat(lease), "superseded");
      assert.is(await queue.complete(lease, artifact("a")), "superseded");
    }
    const build = await under.read(buildId);
    const expected = ["FAILED", BuildFailureReason.ATTEMPTS_EXHAUSTED];
    assert.equal([build.status, build.failure], expected);
  });

  test("a late result of an old attempt is refused while the new one runs", async () => {
    const { buildId } = await submit(1);
    const [old] = await under.queue(1).lease(["b1"]);
    if (old === undefined) throw new Error("nothing was leased");
    await eventually(async () => ((await queue.rescue()).requeued.length > 0 ? true : undefined));
    const lease = await leaseOne("b1");
    assert.is(lease.attempt, 2);
    assert.is(await queue.complete(old, artifact("a")), "superseded");
    assert.is(await queue.fail(old, failure, true), "superseded");
    assert.is(await queue.complete(lease, artifact("b")), "held");
    assert.is((await under.read(buildId)).digest, artifact("b").digest);
  });

  test("a heartbeat keeps a lease from being rescued", async () => {
    await submit(1);
    const [lease] = await under.queue(1).lease(["b1"]);
    if (lease === undefined) throw new Error("nothing was leased");
    assert.is(await queue.heartbeat(lease), "held");
    assert.equal(await queue.rescue(), { requeued: [], failed: [] });
  });

  test("the backlog counts what waits", async () => {
    assert.equal(await queue.backlog(), { count: 0, oldestAgeMs: 0 });
    await submit(1);
    await submit(2);
    const { count, oldestAgeMs } = await queue.backlog();
    assert.is(count, 2);
    assert.ok(oldestAgeMs > 0 && oldestAgeMs < 60_000);
  });

  test("every build that is leased and completed by many ends once", async () => {
    await Promise.all(Array.from({ length: 300 }, (_, number) => submit(number + 1)));
    const done: string[] = [];
    await Promise.all(
      Array.from({ length: 10 }, async (_, worker) => {
        while (true) {
          const leased = await queue.lease([`b${worker}`, `b${worker}`]);
          if (leased.length === 0 && done.length >= 300) return;
          for (const lease of leased) {
            assert.is(await queue.heartbeat(lease), "held");
            assert.is(await queue.complete(lease, artifact("c")), "held");
            done.push(lease.buildId);
          }
        }
      }),
    );
    assert.is(done.length, 300);
    assert.is(new Set(done).size, 300);
  });

  test.run();
}
