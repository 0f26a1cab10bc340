// A host agent without a network that its launcher replaces. It takes artifacts and goals from a
// folder, and says there what it is and how it is. Arguments: the folder, a port.
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { HostApplicationStatus } from "@slipway/proto";
import { SelfUpdate } from "../../src/host/self-update.js";
import { lockDataDirectory } from "../../src/process/data-directory-lock.js";
import { VersionFiles } from "../../src/launcher/version-files.js";
import { GoalSigner, TestHost } from "./fixtures.js";

const [folder = "", port = ""] = process.argv.slice(2);
const dataDir = path.join(folder, "data");
const unlock = await lockDataDirectory(dataDir);
const files = new VersionFiles(dataDir);
const launchedRelease = process.env["SLIPWAY_LAUNCHED_RELEASE"];
const host = new TestHost(dataDir, Number(port), {
  signer: new GoalSigner(await readFile(path.join(folder, "key"), "utf8")),
  self: { application: "agent", update: new SelfUpdate({ files, launchedRelease }) },
});
await host.applications.start();
await files.confirm(process.env["SLIPWAY_LAUNCH_TOKEN"] ?? "");

const stopping = new AbortController();
process.on("SIGTERM", () => stopping.abort());
while (!stopping.signal.aborted) {
  for (const name of await readdir(path.join(folder, "in"))) {
    const bytes = await readFile(path.join(folder, "in", name));
    if (name.endsWith(".goal")) {
      await host.applications.offer(name.replace(/-.*/, ""), bytes);
    } else host.stager.add(bytes);
  }
  const said = {
    pid: process.pid,
    release: launchedRelease,
    applications: host.applications
      .statuses()
      .map((status) => HostApplicationStatus.toJSON(status)),
  };
  await writeFile(path.join(folder, "said.new"), JSON.stringify(said));
  await rename(path.join(folder, "said.new"), path.join(folder, "said"));
  await new Promise((resolve) => setTimeout(resolve, 50));
}
await host.applications.stop({ stopReleases: false });
await unlock();
process.exit(0);
