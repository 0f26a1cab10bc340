import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import {
  HostApplicationStatus,
  HostFailureReason,
  HostPhase,
  RunSpec,
  type Goal,
} from "@slipway/proto";
import { freePort } from "@slipway/examples/servers";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { launch } from "../../src/launcher/launcher.js";
import { VersionFiles } from "../../src/launcher/version-files.js";
import {
  ask,
  eventually,
  FakeStager,
  GoalSigner,
  httpRun,
  log,
  makeGoal,
  serviceScript,
  temporaryFolder,
} from "./fixtures.js";

const program = fileURLToPath(new URL("self-update-agent.ts", import.meta.url));
const tsx = fileURLToPath(import.meta.resolve("tsx"));

test("an agent is replaced by its own release, and comes back where that one does not work", async () => {
  const { folder, remove } = await temporaryFolder();
  const port = await freePort();
  const signer = new GoalSigner();
  const stager = new FakeStager(folder);
  await mkdir(path.join(folder, "in"));
  await mkdir(path.join(folder, "data"));
  await writeFile(path.join(folder, "key"), signer.pem);
  const put = async (name: string, bytes: string | Buffer): Promise<void> => {
    await writeFile(path.join(folder, "new"), bytes);
    await rename(path.join(folder, "new"), path.join(folder, "in", name));
  };
  const give = async (name: string, content: string) => {
    await put(name, content);
    return stager.add(content);
  };
  const obey = (goal: Goal) =>
    put(`${goal.application}-${goal.generation}.goal`, signer.bytes(goal));
  const said = async () => {
    const text = await readFile(path.join(folder, "said"), "utf8").catch(() => "{}");
    const {
      pid,
      release,
      applications = [],
    } = JSON.parse(text) as {
      pid?: number;
      release?: string;
      applications?: unknown[];
    };
    const statuses = applications.map((status) => HostApplicationStatus.fromJSON(status));
    return { pid, release, agent: statuses.find(({ application }) => application === "agent") };
  };
  const reaches = (generation: number, phase: HostPhase) =>
    eventually(
      `phase ${phase} at ${generation}`,
      async () => {
        const now = await said();
        return now.agent?.generation === generation && now.agent.phase === phase && now;
      },
      60_000,
    );
  const node = `"${process.execPath}" --import "${tsx}" "${program}"`;
  const run = RunSpec.fromPartial({ ...httpRun(), healthCheck: undefined });
  const agentGoal = (generation: number, artifact: { digest: string; size: number }, more = {}) =>
    makeGoal(generation, { ...artifact, run }, { application: "agent", ...more });

  const controller = new AbortController();
  const launcher = launch({
    dataDir: path.join(folder, "data"),
    self: [process.execPath, "--import", tsx, program],
    args: [folder, String(port)],
    environment: process.env,
    confirmMs: 30_000,
    log,
    signal: controller.signal,
  });
  await obey(makeGoal(1, await give("web", serviceScript("v1"))));
  const web = await eventually("the other application", () => ask(port), 60_000);
  const before = await said();
  assert.is(before.release, "self");

  const good = await give("good", `#!/bin/sh\nexec ${node} "$@"\n`);
  await obey(agentGoal(1, good, { bucketLimit: 0 }));
  assert.is((await reaches(1, HostPhase.HELD)).pid, before.pid, "staged, and no more");
  await obey(agentGoal(1, good, { issueTime: new Date() }));
  const second = await reaches(1, HostPhase.RUNNING);
  assert.is.not(second.pid, before.pid);
  assert.is(second.release?.slice(0, 16), good.digest.slice(7, 23));
  assert.is(second.agent?.runningArtifactDigest, good.digest);
  assert.is((await ask(port))?.pid, web.pid, "what runs ran on");

  await obey(agentGoal(2, await give("bad", "#!/bin/sh\nexit 3\n")));
  const third = await reaches(2, HostPhase.FAILED);
  assert.is.not(third.pid, second.pid);
  assert.is(third.release, second.release);
  assert.is(third.agent?.failure?.reason, HostFailureReason.START_FAILED);
  assert.match(third.agent?.failure?.message ?? "", /ended before it confirmed: exit code 3/);
  assert.is(third.agent?.runningArtifactDigest, good.digest);
  assert.is((await ask(port))?.pid, web.pid);

  // Generation 3 has succeeded while it was away.
  const missed = await give("missed", `#!/bin/sh\nexec ${node} "$@" # 3\n`);
  const { run: previous } = agentGoal(3, missed);
  const later = await give("later", `#!/bin/sh\nexec ${node} "$@" # 4\n`);
  await obey(agentGoal(4, later, { bucketLimit: 0, previous, previousGeneration: 3 }));
  const caughtUp = await eventually(
    "the release in force",
    async () => {
      const now = await said();
      return now.agent?.runningArtifactDigest === missed.digest && now;
    },
    60_000,
  );
  assert.is.not(caughtUp.pid, third.pid);
  assert.is((await reaches(4, HostPhase.HELD)).agent?.failure, undefined);
  assert.is((await ask(port))?.pid, web.pid);

  controller.abort();
  await launcher;
  process.kill(web.pid, "SIGKILL");
  await remove();
});

test("a version that does not confirm gives way, and one that ends is started again", async () => {
  const { folder, remove } = await temporaryFolder();
  const files = new VersionFiles(folder);
  await files.prepare();
  const waits = "setInterval(() => {}, 1000)";
  const next = { release: "deaf", generation: 7, command: [process.execPath, "-e", waits] };
  await files.write("next", next);
  const starts = path.join(folder, "starts");
  const controller = new AbortController();
  const launcher = launch({
    dataDir: folder,
    self: ["/bin/sh", "-c", `echo "$SLIPWAY_LAUNCHED_RELEASE" >> ${starts}; exit 1`],
    args: [],
    environment: process.env,
    confirmMs: 300,
    log,
    signal: controller.signal,
  });
  await eventually("two starts of the old one", async () => {
    const text = await readFile(starts, "utf8").catch(() => "");
    return text.startsWith("self\nself\n");
  });
  controller.abort();
  await launcher;
  assert.equal(await files.read("failed"), {
    ...next,
    message: "the new agent did not confirm in 300 ms",
  });
  assert.is(await files.read("next"), undefined);
  assert.is(await files.read("current"), undefined);
  await remove();
});

test.run();
