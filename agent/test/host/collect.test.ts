import { EventEmitter, once } from "node:events";
import { HostFailureReason, HostPhase } from "@slipway/proto";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StoreFullError } from "../../src/store/errors.js";
import type { ArtifactStore } from "../../src/store/types.js";
import { TestHost, eventually, makeGoal, serviceScript, temporaryFolder } from "./fixtures.js";

type Collect = ArtifactStore["collect"];

interface Context {
  remove: () => Promise<void>;
  host: TestHost;
  /** What the store was told to keep, and to come down to. */
  calls: { keep: Parameters<Collect>[0]; maxBytes: number }[];
}

const test = suite<Context>("a host's collecting");
test.before.each(async (context) => {
  const { folder, remove } = await temporaryFolder();
  const host = new TestHost(folder, await freePort());
  const calls: Context["calls"] = [];
  host.stager.store.collect = (keep, { maxBytes }) => {
    calls.push({ keep, maxBytes });
    return Promise.resolve({ removed: [], freedBytes: 0, remainingBytes: 0 });
  };
  await host.applications.start();
  Object.assign(context, { host, calls, remove });
});
test.after.each(async ({ host, remove }) => {
  await host.applications.stop({ stopReleases: true });
  await remove();
});

test("keeps what is active, what was before it, and what is staged; as of the moment", async ({
  host,
  calls,
}) => {
  const versions = ["v1", "v2", "v3", "v4"].map((name) => host.stager.add(serviceScript(name)));
  const digests = versions.map(({ digest }) => digest);
  for (const [at, version] of versions.slice(0, 3).entries()) {
    await host.obey(makeGoal(at + 1, version));
    await host.reaches(at + 1, HostPhase.RUNNING);
  }
  await eventually("a collection after the last became healthy", () => calls.length === 6);
  const keep = calls.at(-1)?.keep;
  const kept = (): boolean[] => digests.map((digest) => keep?.has(digest) === true);
  assert.equal(kept(), [false, true, true, false]);
  const coming = new EventEmitter();
  host.stager.hooks.set(digests[3] ?? "", async () => void (await once(coming, "here")));
  await host.obey(makeGoal(4, versions[3] ?? { digest: "", size: 0 }));
  await host.reaches(4, HostPhase.STAGING);
  assert.equal(kept(), [false, true, true, true], "one that began before the goal came");
  coming.emit("here");
  await host.reaches(4, HostPhase.RUNNING);
  assert.equal(kept(), [false, false, true, true]);
  assert.ok(calls.every(({ maxBytes }) => maxBytes === 1024 ** 3));
});

test("a full disk frees all that nobody needs, is told, and is tried again", async ({
  host,
  calls,
}) => {
  const version = host.stager.add(serviceScript("v1"));
  let full = true;
  host.stager.hooks.set(version.digest, () => {
    if (full) return Promise.reject(new StoreFullError("no room"));
    return Promise.resolve();
  });
  await host.obey(makeGoal(1, version));
  const { failure } = await eventually("the failure to be told", () => {
    const status = host.status();
    return status.failure === undefined ? false : status;
  });
  assert.is(failure?.reason, HostFailureReason.DISK_FULL);
  assert.is(calls[0]?.maxBytes, 0);
  assert.ok(calls[0]?.keep.has(version.digest));
  full = false;
  const running = await host.reaches(1, HostPhase.RUNNING);
  assert.is(running.failure, undefined);
});

test.run();
