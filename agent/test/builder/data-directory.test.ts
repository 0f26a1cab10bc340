import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DataDirectory } from "../../src/builder/data-directory.js";
import { GroupRecords } from "../../src/builder/process/group-records.js";
import { DataDirectoryError } from "../../src/process/data-directory.js";
import { DataDirectoryInUseError } from "../../src/process/data-directory-lock.js";
import {
  identityTag,
  isAlive,
  isTagAlive,
  ownIdentity,
  processStartTime,
} from "../../src/process/identity.js";
import { remove } from "./repository.js";

const test = suite("data directory");

function withDirectory(title: string, run: (directory: string) => Promise<void>): void {
  test(title, async () => {
    const directory = await mkdtemp(path.join(tmpdir(), "slipway-data-"));
    try {
      await run(directory);
    } finally {
      await remove(directory);
    }
  });
}

withDirectory("is one builder's at a time", async (directory) => {
  const first = await DataDirectory.lock(directory);
  const refused = await DataDirectory.lock(directory).catch((error: unknown) => error);
  assert.instance(refused, DataDirectoryInUseError);
  await first.unlock();
  const second = await DataDirectory.lock(directory);
  await first.unlock();
  const names = await readdir(directory);
  assert.is(names.length, 1, "an old holder does not unlock a new one");
  assert.match(names[0] ?? "", /^lock\.\d+\.[0-9a-f]{16}\.[0-9a-f]{16}$/);
  await second.unlock();
  assert.equal(await readdir(directory), []);
});

withDirectory("one that cannot be made is told by the option, and soon", async (directory) => {
  await writeFile(path.join(directory, "file"), "");
  for (const place of ["/proc/slipway/data", path.join(directory, "file", "data")]) {
    const refused = await DataDirectory.lock(place).catch((error: unknown) => error);
    assert.instance(refused, DataDirectoryError);
    assert.match((refused as Error).message, `--data-dir ${place} cannot be made`);
  }
});

withDirectory("works nowhere else, whatever a build's id says", async (directory) => {
  const data = await DataDirectory.lock(path.join(directory, "data"));
  await mkdir(data.work, { recursive: true });
  for (const id of ["../../out", "/etc", "a\0b", "x/../..", "-rf", "..", ".", "x".repeat(1_000)]) {
    assert.is(path.dirname(await data.createWork(id, 1)), data.work, id.slice(0, 20));
  }
  await data.unlock();
  assert.equal(await readdir(directory), ["data"]);
});

withDirectory("is taken over from a process that has ended", async (directory) => {
  const own = await ownIdentity();
  const recycled = identityTag({ ...own, startTime: "another" });
  for (const left of [recycled, identityTag({ pid: 2 ** 22 + 1, startTime: "x" })]) {
    await writeFile(path.join(directory, `lock.${left}.${"0".repeat(16)}`), "");
    const starters = Array.from({ length: 4 }, () =>
      DataDirectory.lock(directory).catch((error: unknown) => error),
    );
    const ended = await Promise.all(starters);
    const locks = ended.filter((each) => each instanceof DataDirectory);
    assert.ok(locks.length <= 1, `no two take over from ${left}`);
    const refused = ended.filter((each) => each instanceof DataDirectoryInUseError);
    assert.is(locks.length + refused.length, 4);
    await locks[0]?.unlock();
    const next = await DataDirectory.lock(directory);
    assert.is((await readdir(directory)).length, 1, "what the dead and the refused left is gone");
    await next.unlock();
  }
});

withDirectory("clears checkouts, also write-protected ones", async (directory) => {
  const data = await DataDirectory.lock(directory);
  assert.equal(await data.clearWork(), []);
  const work = await data.createWork("../../x", 3);
  assert.is(path.dirname(work), data.work);
  await mkdir(path.join(work, "a", "b"), { recursive: true });
  await writeFile(path.join(work, "a", "b", "c"), "");
  await chmod(path.join(work, "a", "b"), 0o500);
  await chmod(path.join(work, "a"), 0o500);
  assert.equal(await data.clearWork(), [{ buildId: "______x", attempt: 3 }]);
  assert.equal(await readdir(data.work), []);
  await data.unlock();
});

withDirectory("kills recorded groups, but nobody who got their number since", async (directory) => {
  const children = [0, 1].map(() => spawn("sleep", ["60"], { detached: true, stdio: "ignore" }));
  const exits = children.map((child) => once(child, "exit"));
  const [ours = 0, other = 0] = children.map((child) => child.pid ?? 0);
  try {
    const records = new GroupRecords(directory);
    await records.add(ours);
    await records.add(other);
    const record = { pid: other, startTime: "another" };
    await writeFile(path.join(directory, `${other}.json`), JSON.stringify(record));
    await writeFile(path.join(directory, "9.json"), '{"pid":');
    const next = new GroupRecords(directory);
    assert.is(await next.killLeftovers("NOBODY_HAS_THIS=1"), 1);
    await exits[0];
    assert.is(await processStartTime(ours), undefined);
    assert.ok((await processStartTime(other)) !== undefined);
    assert.equal(await readdir(directory), []);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(exits);
  }
});

test("tells processes apart by when they started", async () => {
  const own = await ownIdentity();
  assert.ok(await isAlive(own));
  assert.not(await isAlive({ ...own, startTime: `${own.startTime}0` }));
  assert.ok(await isTagAlive(identityTag(own)));
  assert.not(await isTagAlive(identityTag({ ...own, startTime: "another" })));
  assert.not(await isAlive({ pid: 2 ** 22 + 1, startTime: own.startTime }));
});

test.run();
