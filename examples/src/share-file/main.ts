import process from "node:process";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../processes/temporary-directory.js";
import { runPeer } from "./peer.js";
import { shareFile } from "./share.js";

const [argument] = process.argv.slice(2);
if (argument === "peer") await runPeer();
else {
  const directory = await temporaryDirectory("slipway-share-");
  const program = fileURLToPath(import.meta.url);
  try {
    await shareFile({
      dir: directory.path,
      program,
      file: argument,
      print: (line) => console.log(line),
    });
  } catch (error) {
    console.error(`share-file: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  } finally {
    await directory.remove();
  }
}
