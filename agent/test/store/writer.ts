// Writes the chunks of DIR/content into the store at DIR, without ever closing it: for tests that
// kill it or take its room away.
import { readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { setInterval } from "node:timers";
import { openArtifactStore } from "../../src/store/artifact-store.js";
import { chunkOf } from "./fixtures.js";

const [dir = "", mode] = process.argv.slice(2);
const content = await readFile(path.join(dir, "content"));
const store = await openArtifactStore(dir);
const write = await store.begin(await readFile(path.join(dir, "manifest")));
let written = 0;
try {
  for (; written < write.manifest.chunkCount; written++) {
    await write.put(written, chunkOf(content, write.manifest, written));
  }
  console.log("written");
} catch (error) {
  console.log(`${error instanceof Error ? error.name : "?"} after ${written}`);
}
if (mode === "hang") setInterval(() => {}, 1000);
