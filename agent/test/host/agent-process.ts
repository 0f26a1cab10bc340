// A host agent without a network, for tests that kill it. Arguments: data directory, port, script.
import { HostPhase } from "@slipway/proto";
import { lockDataDirectory } from "../../src/process/data-directory-lock.js";
import { makeGoal, TestHost } from "./fixtures.js";

const [folder = "", port = "", script = ""] = process.argv.slice(2);
await lockDataDirectory(folder);
const host = new TestHost(folder, Number(port));
await host.applications.start();
await host.obey(makeGoal(1, host.stager.add(script)));
await host.reaches(1, HostPhase.RUNNING);
process.stdout.write("running\n");
setInterval(() => {}, 1_000);
