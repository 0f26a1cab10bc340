import { setTimeout as delay } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ArtifactStore, ArtifactWrite } from "../../src/store/types.js";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { makeArtifact, temporaryDirectory } from "../store/fixtures.js";
import { ChildPeer } from "./child-peer.js";
import { type Member, Region, contentOf, fetchAll, put, seed, until } from "./fixtures.js";

const CHUNKS = 160;
const CHUNK_BYTES = 64 * 1024;

const test = suite<{ region: Region; cleanUp: (() => Promise<void>)[] }>("swarm with deaths");
test.before.each((context) => {
  context.region = new Region();
  context.cleanUp = [];
});
test.after.each(async ({ region, cleanUp }) => {
  for (const undo of cleanUp.toReversed()) await undo();
  await region.close();
});

const underWay = ({ progress }: ChildPeer): boolean => (progress?.bytesDone ?? 0) > 0;

const neighbours = ({ swarm }: Member): number => swarm.stats.neighbours;

/** Everybody gets the right bytes; says how long it took. */
async function finish(hosts: readonly Member[], digest: string, content: Buffer): Promise<void> {
  const started = Date.now();
  await Promise.all(hosts.map((host) => fetchAll(host, digest, AbortSignal.timeout(60_000))));
  console.log(`everybody done after ${Date.now() - started} ms`);
  for (const { store } of hosts) assert.ok((await contentOf(store, digest)).equals(content));
}

for (const [what, signal] of [
  ["die", "SIGKILL"],
  ["freeze for ten seconds", "SIGSTOP"],
] as const) {
  test(`a third of the hosts ${what} halfway`, async ({ region, cleanUp }) => {
    const seeder = await region.join("region", { tamper: () => delay(25) });
    const { digest, content } = await seed(seeder, CHUNKS, CHUNK_BYTES);
    const doomed = await Promise.all(
      Array.from({ length: 3 }, async (_, index) => {
        const { dir, remove } = await temporaryDirectory();
        cleanUp.push(remove);
        const identity = region.identity(`doomed-${index}`, "host");
        return ChildPeer.start({ region, identity, dir, digest, stay: true });
      }),
    );
    cleanUp.push(async () => void (await Promise.all(doomed.map((child) => child.end()))));
    const hosts = await Promise.all(Array.from({ length: 6 }, () => region.join("host")));
    await until(() => hosts.every((host) => neighbours(host) >= 8), "everybody to stand");
    const done = finish(hosts, digest, content);
    await until(() => doomed.every(underWay), "the doomed to be under way");
    for (const child of doomed) child.kill(signal);
    await Promise.all([done, signal === "SIGKILL" ? undefined : delay(10_000)]);
    if (signal === "SIGKILL") return;
    for (const child of doomed) child.kill("SIGCONT");
    const total = content.length;
    await until(() => doomed.every(({ progress }) => progress?.bytesDone === total), "the rest");
  });
}

test("the seeder dies as soon as the hosts have one copy among them", async ({
  region,
  cleanUp,
}) => {
  const { dir, remove } = await temporaryDirectory();
  cleanUp.push(remove);
  const { content, manifest } = makeArtifact(Array.from({ length: 400 }, () => CHUNK_BYTES));
  await put(await openArtifactStore(dir), content, manifest);
  const listen = await region.reserveBootstrap();
  const identity = region.identity("seeder", "region");
  const seeder = await ChildPeer.start({ region, identity, dir, listen, stay: true });
  cleanUp.push(() => seeder.end());
  await until(() => seeder.started, "the seeder");
  const hosts = await Promise.all(Array.from({ length: 6 }, () => region.join("host")));
  await until(() => hosts.every((host) => neighbours(host) === 6), "everybody to stand");
  const writes: ArtifactWrite[] = [];
  const watched = hosts.map((host) => ({ ...host, store: watching(host.store, writes) }));
  const done = finish(watched, manifest.digest, content);
  const chunks = Array.from({ length: manifest.chunkCount }, (_, chunk) => chunk);
  const oneCopy = (): boolean =>
    writes.length > 0 && chunks.every((chunk) => writes.some(({ have }) => have.has(chunk)));
  await until(oneCopy, "one copy to be out");
  const missing = writes.reduce((sum, { bytesDone }) => sum + content.length - bytesDone, 0);
  seeder.kill("SIGKILL");
  console.log(`the seeder died when ${(missing / content.length).toFixed(1)} copies were missing`);
  await done;
});

test("fifty hosts that start at the same instant all get it", async ({ region }) => {
  const seeder = await region.join("region");
  const { digest, content } = await seed(seeder, 16, CHUNK_BYTES);
  const started = Date.now();
  const hosts = await Promise.all(Array.from({ length: 50 }, () => region.join("host")));
  await finish(hosts, digest, content);
  await until(() => hosts.every((host) => neighbours(host) >= 8), "eight neighbours each");
  console.log(`everybody has eight neighbours after ${Date.now() - started} ms`);
});

/** A store that shows what is being written. */
function watching(store: ArtifactStore, writes: ArtifactWrite[]): ArtifactStore {
  return new Proxy(store, {
    get(target, name: keyof ArtifactStore) {
      if (name !== "begin") return target[name].bind(target);
      return async (manifestBytes: Uint8Array) => {
        const write = await target.begin(manifestBytes);
        writes.push(write);
        return write;
      };
    },
  });
}

test.run();
