import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  mkdtemp,
  readFile,
  readdir,
  rm,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  copyArtifact,
  openDirectoryBlobStore,
  putFile,
  verifyArtifact,
} from "../../src/blob/index.js";
import { fromSystemError } from "../../src/blob/errors.js";
import { chunkFile } from "../../src/store/chunker.js";
import { conformance, putSample, refuses, sample } from "./conformance.js";

const MIB = 1024 * 1024;
const BLOB_MODULE = new URL("../../src/blob/index.ts", import.meta.url).href;

async function temporaryDirectory(): Promise<{ directory: string; remove: () => Promise<void> }> {
  const directory = await mkdtemp(path.join(tmpdir(), "slipway-blob-"));
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
}

conformance("directory", {
  async open() {
    const { directory, remove } = await temporaryDirectory();
    const again = () => openDirectoryBlobStore(directory);
    return { store: await again(), again, remove };
  },
});

const test = suite("directory blob store");

function withDirectory(title: string, run: (directory: string) => Promise<void>): void {
  test(title, async () => {
    const { directory, remove } = await temporaryDirectory();
    try {
      await run(directory);
    } finally {
      await remove();
    }
  });
}

withDirectory(
  "keeps blobs and manifests as plain files and leaves no others",
  async (directory) => {
    const store = await openDirectoryBlobStore(directory);
    const artifact = sample(MIB, 10);
    await putSample(store, artifact);
    const hex = artifact.digest.slice(7);
    assert.ok((await readFile(path.join(directory, "blobs", hex))).equals(artifact.bytes));
    assert.ok(
      (await readFile(path.join(directory, "manifests", hex))).equals(artifact.manifestBytes),
    );
    assert.equal(await readdir(path.join(directory, "tmp")), []);
  },
);

withDirectory("replaces a damaged artifact when it is put again", async (directory) => {
  const store = await openDirectoryBlobStore(directory);
  const artifact = sample(MIB, 10);
  await putSample(store, artifact);
  const blob = path.join(directory, "blobs", artifact.digest.slice(7));
  const damaged = Buffer.from(artifact.bytes);
  damaged[MIB + 3] = (damaged[MIB + 3] ?? 0) ^ 1;
  await chmod(blob, 0o600);
  await writeFile(blob, damaged);
  await refuses("corrupt", () => verifyArtifact(store, artifact.digest));
  const file = path.join(directory, "file");
  await writeFile(file, artifact.bytes);
  await putFile(store, file, artifact.manifestBytes);
  await verifyArtifact(store, artifact.digest);
});

withDirectory(
  "verifies again what a killed process left, and uses it at once",
  async (directory) => {
    const artifact = sample(1000, 1000, 1000);
    const work = path.join(directory, "work.mjs");
    await writeFile(path.join(directory, "manifest"), artifact.manifestBytes);
    await writeFile(path.join(directory, "bytes"), artifact.bytes);
    await writeFile(
      work,
      `import { readFileSync } from "node:fs";
     import { openDirectoryBlobStore } from ${JSON.stringify(BLOB_MODULE)};
     const store = await openDirectoryBlobStore(${JSON.stringify(path.join(directory, "store"))});
     const write = await store.beginPut(readFileSync(${JSON.stringify(path.join(directory, "manifest"))}));
     const bytes = readFileSync(${JSON.stringify(path.join(directory, "bytes"))});
     await write.writeChunk(0, bytes.subarray(0, 1000));
     await write.writeChunk(1, bytes.subarray(1000, 2000));
     console.log("written");
     setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, ["--import", "tsx", work], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    try {
      await once(child.stdout, "data");
      const store = await openDirectoryBlobStore(path.join(directory, "store"));
      const beside = await store.beginPut(artifact.manifestBytes);
      assert.is(beside.bytesDone, 0, "the file of a live writer is left alone");
      await beside.close();
      child.kill("SIGKILL");
      await exited;
      const [left = ""] = await readdir(path.join(directory, "store", "tmp"));
      const damaged = path.join(directory, "store", "tmp", left);
      const bytes = await readFile(damaged);
      bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
      await writeFile(damaged, bytes);
      const write = await store.beginPut(artifact.manifestBytes);
      assert.equal(
        [0, 1, 2].map((index) => write.has(index)),
        [false, true, false],
      );
      await write.writeChunk(0, artifact.chunk(0));
      await write.writeChunk(2, artifact.chunk(2));
      await write.commit();
      await write.close();
      await verifyArtifact(store, artifact.digest);
      assert.equal(await readdir(path.join(directory, "store", "tmp")), []);
    } finally {
      child.kill("SIGKILL");
      await exited;
    }
  },
);

withDirectory("removes temporary files older than a day, and only those", async (directory) => {
  const store = await openDirectoryBlobStore(directory);
  for (const artifact of [sample(10, 10), sample(20, 20)]) {
    const write = await store.beginPut(artifact.manifestBytes);
    await write.writeChunk(0, artifact.chunk(0));
    await write.close();
  }
  const [old = "", young] = await readdir(path.join(directory, "tmp"));
  const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
  await utimes(path.join(directory, "tmp", old), yesterday, yesterday);
  await openDirectoryBlobStore(directory);
  assert.equal(await readdir(path.join(directory, "tmp")), [young]);
});

withDirectory(
  "sees a damaged and a shortened blob; a put repairs the latter",
  async (directory) => {
    const store = await openDirectoryBlobStore(directory);
    const other = await openDirectoryBlobStore(path.join(directory, "other"));
    const artifact = sample(MIB, MIB);
    await putSample(store, artifact);
    const file = path.join(directory, "blobs", artifact.digest.slice(7));
    await writeFile(file, Buffer.alloc(2 * MIB));
    await refuses("corrupt", () => verifyArtifact(store, artifact.digest));
    const error = await refuses("corrupt", () => copyArtifact(store, other, artifact.digest));
    assert.not(error.retryable);
    assert.is(await other.stat(artifact.digest), undefined);
    await truncate(file, MIB);
    await refuses("corrupt", () => verifyArtifact(store, artifact.digest));
    await putSample(store, artifact);
    await verifyArtifact(store, artifact.digest);
  },
);

withDirectory("stores a file, and never one that changed meanwhile", async (directory) => {
  const store = await openDirectoryBlobStore(path.join(directory, "store"));
  const file = path.join(directory, "artifact");
  const { bytes } = sample(5 * MIB + 3);
  await writeFile(file, bytes);
  const manifestBytes = await chunkFile(file);
  bytes.writeUInt8(bytes.readUInt8(3 * MIB) ^ 1, 3 * MIB);
  await writeFile(file, bytes);
  const error = await refuses("corrupt", () => putFile(store, file, manifestBytes));
  assert.match(error.message, /artifact changed while it was stored/);
  await truncate(file, 10);
  await refuses("corrupt", () => putFile(store, file, manifestBytes));
  bytes.writeUInt8(bytes.readUInt8(3 * MIB) ^ 1, 3 * MIB);
  await writeFile(file, bytes);
  await putFile(store, file, manifestBytes);
  const [digest] = await readdir(path.join(directory, "store", "blobs"));
  await verifyArtifact(store, `sha256:${digest}`);
  await refuses("unavailable", () => putFile(store, path.join(directory, "none"), manifestBytes));
});

withDirectory("says what is wrong with a directory that it cannot use", async (directory) => {
  await writeFile(path.join(directory, "file"), "");
  const error = await refuses("unavailable", () =>
    openDirectoryBlobStore(path.join(directory, "file")),
  );
  assert.match(error.message, /open blob store .*\/file/);
});

test("tells a full disk from others", () => {
  for (const [code, reason, retryable] of [
    ["ENOSPC", "full", false],
    ["EDQUOT", "full", false],
    ["EIO", "unavailable", true],
    ["ESTALE", "unavailable", true],
    ["EACCES", "unavailable", false],
    ["EROFS", "unavailable", false],
  ] as const) {
    const error = fromSystemError("write", Object.assign(new Error(code), { code }));
    assert.equal([error.reason, error.retryable], [reason, retryable], code);
  }
});

test.run();
