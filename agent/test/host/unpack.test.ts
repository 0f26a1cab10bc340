import { mkdir, mkdtemp, readFile, readdir, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { create, Header } from "tar";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { unpack } from "../../src/host/unpack.js";
import { temporaryFolder } from "./fixtures.js";

const test = suite<{ folder: string; remove: () => Promise<void> }>("unpacking");

test.before.each(async (context) => {
  Object.assign(context, await temporaryFolder());
  await mkdir(path.join(context.folder, "out"));
});
test.after.each((context) => context.remove());

const signal = new AbortController().signal;

/** A tar of headers as they are, which no honest tool would write. */
function rawTar(entries: ConstructorParameters<typeof Header>[0][]): Buffer {
  const blocks = entries.map((entry) => {
    const block = Buffer.alloc(512);
    new Header(entry).encode(block, 0);
    return block;
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

for (const gzip of [false, true]) {
  test(`a ${gzip ? "gzipped " : ""}tar comes out as it went in`, async ({ folder }) => {
    const source = path.join(folder, "in");
    await mkdir(path.join(source, "bin"), { recursive: true });
    await writeFile(path.join(source, "bin/run"), "hello", { mode: 0o755 });
    await symlink("bin/run", path.join(source, "link"));
    const file = path.join(folder, "a.tar");
    await create({ file, cwd: source, gzip }, ["bin", "link"]);
    const out = path.join(folder, "out");
    await unpack(file, out, { signal });
    assert.is(await readFile(path.join(out, "link"), "utf8"), "hello");
    // As with any tar, less what the process's umask takes away.
    assert.is((await stat(path.join(out, "bin/run"))).mode & 0o777, 0o755 & ~process.umask());
    await assertRejects(
      unpack(file, out, { signal, bounds: { bytes: 4, entries: 10 } }),
      /more than 4 bytes/,
    );
    await assertRejects(
      unpack(file, out, { signal, bounds: { bytes: 99, entries: 2 } }),
      /more than 2 entries/,
    );
  });
}

test("nothing gets out of the folder", async ({ folder }) => {
  const out = path.join(folder, "out");
  const file = path.join(folder, "a.tar");
  const mode = 0o644;
  const cases: [ConstructorParameters<typeof Header>[0][], RegExp][] = [
    [[{ path: "../evil", type: "File", size: 0, mode }], /outside/],
    [[{ path: "a/../../evil", type: "File", size: 0, mode }], /outside/],
    [[{ path: "/etc/evil", type: "File", size: 0, mode }], /outside/],
    [[{ path: "l", type: "SymbolicLink", linkpath: "/etc", size: 0, mode }], /leads outside/],
    [[{ path: "a/l", type: "SymbolicLink", linkpath: "../../x", size: 0, mode }], /leads outside/],
    [[{ path: "l", type: "Link", linkpath: "../x", size: 0, mode }], /leads outside/],
    [[{ path: "d", type: "CharacterDevice", size: 0, mode }], /CharacterDevice/],
    [[{ path: "f", type: "FIFO", size: 0, mode }], /FIFO/],
  ];
  for (const [entries, message] of cases) {
    await writeFile(file, rawTar(entries));
    await assertRejects(unpack(file, out, { signal }), message);
    assert.equal(await readdir(out), [], String(message));
  }
});

test("no link leads out by way of another one", async ({ folder }) => {
  const file = path.join(folder, "a.tar");
  await writeFile(path.join(folder, "secret"), "of somebody else");
  const mode = 0o644;
  const link = (name: string, linkpath: string) =>
    ({ path: name, type: "SymbolicLink", linkpath, size: 0, mode }) as const;
  const up = [{ path: "d/", type: "Directory", size: 0, mode: 0o755 }, link("d/up", "..")] as const;
  for (const entries of [
    [...up, link("x", "d/up/../secret")],
    [...up, link("x", "d/up/.."), { path: "h", type: "Link", linkpath: "x/secret", size: 0, mode }],
    [...up, { path: "h", type: "Link", linkpath: "d/up/../secret", size: 0, mode }],
  ] as ConstructorParameters<typeof Header>[0][][]) {
    const out = await mkdtemp(path.join(folder, "out-"));
    await writeFile(file, rawTar(entries));
    await assertRejects(unpack(file, out, { signal }), /leads outside/);
    for (const name of ["x", "h"]) {
      await assertRejects(readFile(path.join(out, name), "utf8"), /ENOENT/);
    }
  }
  // Nor is anything written through one, even within.
  const out = await mkdtemp(path.join(folder, "out-"));
  await writeFile(
    file,
    rawTar([
      { path: "d/", type: "Directory", size: 0, mode: 0o755 },
      link("l", "d"),
      { path: "l/f", type: "File", size: 0, mode },
    ]),
  );
  await unpack(file, out, { signal }).catch(() => undefined);
  assert.equal(await readdir(path.join(out, "d")), []);
});

test("damage is an error", async ({ folder }) => {
  const file = path.join(folder, "a.tar");
  const out = path.join(folder, "out");
  for (const [content, message] of [
    [Buffer.alloc(0), /tar/],
    [Buffer.from("no tar at all"), /tar/],
    [Buffer.alloc(2048, "x"), /tar/],
    [rawTar([{ path: "a", type: "File", size: 9_000, mode: 0o644 }]).subarray(0, 700), /tar/],
  ] as const) {
    await writeFile(file, content);
    await assertRejects(unpack(file, out, { signal }), message);
  }
  await assertRejects(
    unpack(file, out, { signal: AbortSignal.abort(new Error("ended")) }),
    /ended/,
  );
});

async function assertRejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason as Error,
  );
  assert.ok(error !== undefined, `resolved, instead of ${message}`);
  assert.match(error.message, message);
}

test.run();
