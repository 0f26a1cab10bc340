// The build command: makes the service's data and packs it with the server into dist/service.tar.
// The same commit gives the same bytes on every builder.
import { execFileSync } from "node:child_process";
import { createCipheriv, createHash } from "node:crypto";
import { createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { once } from "node:events";

const MEBIBYTE = 1024 * 1024;
const commit = execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim();
const assets = JSON.parse(readFileSync("assets.json", "utf8"));
const version = { commit, assets: {} };

mkdirSync("dist", { recursive: true });
const tar = createWriteStream("dist/service.tar");
console.log(`building ${commit}`);

for (const [name, { mebibytes, seed }] of Object.entries(assets)) {
  const hash = createHash("sha256");
  await addFile(`assets/${name}.bin`, mebibytes * MEBIBYTE, chunks(name, seed, mebibytes), hash);
  version.assets[name] = hash.digest("hex");
  console.log(`packed assets/${name}.bin, ${mebibytes} MiB, sha256 ${version.assets[name]}`);
}
await addBuffer("server.mjs", readFileSync("server.mjs"));
await addBuffer("version.json", Buffer.from(JSON.stringify(version)));
tar.end(Buffer.alloc(2 * 512));
await once(tar, "finish");
console.log(`wrote dist/service.tar, ${tar.bytesWritten} bytes`);

/** Data that looks random and follows from its name and seed alone. */
function* chunks(name, seed, count) {
  const key = createHash("sha256").update(`${name} ${seed}`).digest().subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(MEBIBYTE);
  for (let i = 0; i < count; i++) yield cipher.update(zeros);
}

async function addBuffer(name, buffer) {
  await addFile(name, buffer.length, [buffer]);
}

async function addFile(name, size, content, hash) {
  await write(header(name, size));
  for (const chunk of content) {
    hash?.update(chunk);
    await write(chunk);
  }
  await write(Buffer.alloc((512 - (size % 512)) % 512));
}

async function write(buffer) {
  if (!tar.write(buffer)) await once(tar, "drain");
}

/** A header of the POSIX ustar format. */
function header(name, size) {
  const block = Buffer.alloc(512);
  block.write(name, 0, 100);
  block.write("0000644\0", 100);
  block.write("0000000\0", 108);
  block.write("0000000\0", 116);
  block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  block.write("00000000000\0", 136);
  block.fill(" ", 148, 156);
  block.write("0", 156);
  block.write("ustar\u000000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}
