import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import {
  ArtifactFormat,
  type BuildSpec,
  BuildFailureReason,
  LogSource,
  durationFromMs,
} from "@slipway/proto";
import { pino } from "pino";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDirectoryBlobStore, verifyArtifact } from "../../src/blob/index.js";
import {
  DataDirectoryInUseError,
  startBuilder,
  type Builder,
  type BuilderConfig,
} from "../../src/builder/index.js";
import { createLogger } from "../../src/log.js";
import { FakeCoordinator, result, until, type Observed } from "./fake-coordinator.js";
import { GIT_ENVIRONMENT, createRepository, remove, type Repository } from "./repository.js";

interface Setup {
  root: string;
  repository: Repository;
  coordinator: FakeCoordinator;
  start: (config?: Partial<BuilderConfig>) => Promise<Builder>;
  /** Commits a build script and has it built. */
  build: (script: string, spec?: Partial<BuildSpec>) => Promise<Observed>;
}

const test = suite("builder");
const { COMMAND_FAILED, ARTIFACT_INVALID, DEADLINE_EXCEEDED } = BuildFailureReason;

function withBuilder(title: string, run: (setup: Setup) => Promise<void>): void {
  test(title, async () => {
    const root = await mkdtemp(path.join(tmpdir(), "slipway-builder-"));
    const coordinator = new FakeCoordinator();
    const builders: Builder[] = [];
    try {
      await coordinator.listen();
      const repository = await createRepository(path.join(root, "repository"));
      const source = { repository: repository.directory };
      await run({
        root,
        repository,
        coordinator,
        start: async (config = {}) => {
          const builder = await startBuilder({
            id: "b1",
            coordinator: coordinator.address,
            blobStore: path.join(root, "blobs"),
            dataDir: path.join(root, "data"),
            log: createLogger("silent"),
            environment: GIT_ENVIRONMENT,
            reconnectDelayMs: 20,
            gitRetryDelayMs: 10,
            killGraceMs: 300,
            reportTimeoutMs: 1000,
            ...config,
          });
          builders.push(builder);
          return builder;
        },
        build: async (script, spec = {}) => {
          const commit = await repository.commit({ "build.sh": `#!/bin/sh\n${script}\n` });
          const defaults = { command: ["./build.sh"], artifactPath: "out" };
          return coordinator.lease(source, commit, { ...defaults, ...spec });
        },
      });
    } finally {
      await Promise.all(builders.map((builder) => builder.stop()));
      coordinator.close();
      await remove(root);
    }
  });
}

function texts({ lines }: Observed, source?: LogSource): string[] {
  return lines.filter((line) => source === undefined || line.source === source).map((l) => l.text);
}

/** The number that a build printed after this word. */
function printed(observed: Observed, word: string): number | undefined {
  const line = texts(observed).find((text) => text.startsWith(`${word} `));
  return line === undefined ? undefined : Number(line.slice(word.length + 1));
}

/** Shell code that starts other shell code out of the group, and prints its number. */
function detached(code: string): string {
  const program = [
    `const options = { detached: true, stdio: "inherit" };`,
    `const child = require("child_process").spawn("sh", ["-c", "${code}"], options);`,
    `console.log("detached", child.pid);`,
    `child.unref();`,
  ];
  return `${process.execPath} -e '${program.join(" ")}'`;
}

/** A module of the agent, as a string literal. */
function module(name: string): string {
  return JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href);
}

function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) throw new Error("no process number was printed");
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

withBuilder(
  "builds: fetches, runs, stores, reports",
  async ({ root, start, build, coordinator }) => {
    const builder = await start({ slots: 2 });
    const observed = await build(
      'echo "héllo $GREETING"; echo oops >&2; env | sort; cat; printf "artifact of $SLIPWAY_COMMIT_SHA" > out',
      { environment: { GREETING: "world" } },
    );
    await result(observed);
    const { artifact } = observed;
    assert.is(observed.failure, undefined);
    assert.is(artifact?.platform, `${process.platform}/${process.arch}`);
    assert.is(artifact?.sizeBytes, "artifact of ".length + 40);
    const store = await openDirectoryBlobStore(path.join(root, "blobs"));
    await verifyArtifact(store, artifact?.digest ?? "");
    const out = texts(observed, LogSource.STDOUT);
    assert.ok(out.includes("héllo world"));
    assert.equal(texts(observed, LogSource.STDERR), ["oops"]);
    const names = out.filter((line) => line.includes("=")).map((line) => line.split("=")[0]);
    const own = ["APPLICATION", "BUILD_DIRECTORY", "BUILD_ID", "COMMIT_SHA"].map(
      (n) => `SLIPWAY_${n}`,
    );
    for (const name of [...own, "CI", "GREETING", "HOME", "LANG", "PATH", "TMPDIR"]) {
      assert.ok(names.includes(name), name);
    }
    assert.not(names.includes("GIT_CONFIG_NOSYSTEM"), "the builder's environment is not inherited");
    assert.ok(texts(observed, LogSource.SYSTEM).some((text) => text.startsWith("fetching ")));
    await until(() => coordinator.ready.at(-1) === 2, "both slots to be free again");
    assert.equal(coordinator.ready, [2, 2]);
    assert.equal(await readdir(path.join(root, "data", "work")), [], "the checkout is gone");
    assert.equal(builder.stats, { connected: true, running: 0, succeeded: 1, failed: 0, lost: 0 });
  },
);

withBuilder(
  "says how a build command failed",
  async ({ start, build, coordinator, repository }) => {
    await start();
    for (const [script, command, message, exitCode] of [
      ["echo no; exit 3", "./build.sh", /exited with code 3/, 3],
      ["kill -9 $$", "./build.sh", /ended by SIGKILL/, undefined],
      ["", "./none", /"\.\/none" could not be started: it, or the interp.* not found/, undefined],
      ["", "./.git", /could not be started: it is not executable/, undefined],
      ["", "", /no build command/, undefined],
    ] as const) {
      const spec = { command: command === "" ? [] : [command] };
      const { failure, retry } = await result(await build(script, spec));
      assert.is(failure?.reason, COMMAND_FAILED);
      assert.match(failure?.message ?? "", message);
      assert.is(failure?.exitCode, exitCode);
      assert.not(retry);
    }
    const commit = await repository.commit({ a: "1" });
    const missing = { repository: `${repository.directory}-none` };
    const lost = await result(await coordinator.lease(missing, commit, { command: ["true"] }));
    assert.is(lost.failure?.reason, BuildFailureReason.REPOSITORY_UNAVAILABLE);
    const source = { repository: repository.directory };
    const unknown = await result(
      await coordinator.lease(source, "0".repeat(40), { command: ["true"] }),
    );
    assert.is(unknown.failure?.reason, BuildFailureReason.COMMIT_NOT_FOUND);
    await repository.git("checkout", "--quiet", "-b", "side");
    const unmerged = await repository.commit({ a: "2" });
    const side = await result(await coordinator.lease(source, unmerged, { command: ["true"] }));
    assert.is(side.failure?.reason, BuildFailureReason.COMMIT_NOT_ON_TRUNK);
  },
);

withBuilder("goes to another coordinator while one is away, and back", async (setup) => {
  const second = new FakeCoordinator();
  await second.listen();
  try {
    await setup.start({ coordinator: `${setup.coordinator.address},${second.address}` });
    const streams = () => setup.coordinator.streams + second.streams;
    await until(() => streams() === 1, "a stream");
    const [first, other] =
      second.streams === 1 ? [second, setup.coordinator] : [setup.coordinator, second];
    first.close();
    await until(() => other.streams === 1, "a stream to the other one");
    await first.restart();
    other.close();
    await until(() => first.streams === 2, "a stream to the first one");
  } finally {
    second.close();
  }
});

withBuilder("one whose id another process has says so, once a minute", async (setup) => {
  const errors: string[] = [];
  const log = pino({ level: "error" }, { write: (line) => void errors.push(line) });
  await setup.start({ log });
  for (const streams of [1, 2]) {
    await until(() => setup.coordinator.streams === streams, "a stream");
    await until(() => setup.coordinator.ready.length >= streams, "a builder that is ready");
    setup.coordinator.replaceStream("builder b1 opened another stream from web-3 (process 9)");
  }
  await until(() => setup.coordinator.streams === 3, "a third stream");
  assert.is(errors.length, 1);
  assert.match(errors[0] ?? "", /web-3 \(process 9\).*another process has this builder's id/);
});

withBuilder("says what is wrong with an artifact", async ({ start, build, root }) => {
  await start({ slots: 4 });
  const { TAR } = ArtifactFormat;
  const cases = [
    ["touch other", {}, /left no out; the root of the checkout holds build\.sh, other/],
    ["mkdir out", {}, /out is a directory/],
    ["touch out", {}, /out is empty/],
    [`ln -s /etc/hostname out`, {}, /link that leads outside the checkout/],
    ["ln -s out out", {}, /link to itself/],
    ["mkfifo out", {}, /out is no file/],
    ["echo x > ../out", { artifactPath: "../out" }, /outside the checkout/],
    ["true", { artifactPath: "/etc/hostname" }, /not a path relative/],
    ["echo x > out", { artifactPath: "out/file" }, /left no out\/file/],
    ["echo this is text > out", { artifactFormat: TAR }, /is a tar, but out is no tar/],
  ] as const;
  const builds: Observed[] = [];
  for (const [script, spec] of cases) {
    builds.push(
      await result(await build(script, { artifactFormat: ArtifactFormat.EXECUTABLE, ...spec })),
    );
  }
  for (const [index, [script, , message]] of cases.entries()) {
    const failure = builds[index]?.failure;
    assert.is(failure?.reason, ARTIFACT_INVALID, `${script}: ${failure?.message}`);
    assert.match(failure?.message ?? "", message);
  }
  for (const script of [
    "tar -cf out build.sh",
    "tar -czf out build.sh",
    "echo x > f; ln -s f out",
  ]) {
    const artifactFormat = script.startsWith("tar") ? TAR : ArtifactFormat.EXECUTABLE;
    const { artifact, failure } = await result(await build(script, { artifactFormat }));
    assert.ok(artifact, failure?.message);
  }
  assert.is((await readdir(path.join(root, "blobs", "blobs"))).length, 3);
});

withBuilder("takes 100 MB of output in its stride", async ({ start, build }) => {
  await start();
  const script =
    "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 99; echo; echo the end; echo x > out";
  const since = Date.now();
  const observed = await result(await build(script), 20_000);
  assert.ok(observed.artifact, observed.failure?.message);
  assert.ok(Date.now() - since < 15_000);
  const out = texts(observed, LogSource.STDOUT);
  assert.is(out.at(-1), "the end");
  const notice = texts(observed, LogSource.SYSTEM).find((text) => text.startsWith("left out here"));
  const bytes = Number(/, (\d+) bytes of output/.exec(notice ?? "")?.[1]);
  const shown = out.reduce((sum, line) => sum + line.length + 1, 0);
  const whole = 100_000_000 + Math.floor(99_999_999 / 99) + 1 + "the end\n".length;
  assert.ok(Math.abs(shown + bytes - whole) <= 1, `${shown} + ${bytes} = ${whole}`);
});

withBuilder(
  "ends a command at its deadline, with all that it started",
  async ({ start, build }) => {
    await start();
    const script = `trap 'echo term' TERM; sleep 60 & echo child $!; while :; do sleep 0.1; done`;
    const observed = await result(await build(script, { timeout: durationFromMs(500) }));
    assert.is(observed.failure?.reason, DEADLINE_EXCEEDED);
    assert.match(observed.failure?.message ?? "", /timeout of 0\.5 s/);
    assert.ok(texts(observed).includes("term"), "it was asked first");
    await until(() => !isRunning(printed(observed, "child")), "the child to be gone");
  },
);

withBuilder("kills what a command leaves behind, and waits for nothing", async (setup) => {
  const { start, build } = setup;
  await start();
  const since = Date.now();
  const script = `sleep 60 & echo child $!; ${detached("exec sleep 60")}; echo x > out`;
  const observed = await result(await build(script));
  assert.ok(observed.artifact, observed.failure?.message);
  assert.ok(Date.now() - since < 5000);
  assert.ok(texts(observed).some((text) => /left processes behind/.test(text)));
  for (const name of ["child", "detached"]) {
    await until(() => !isRunning(printed(observed, name)), `the ${name} process to be gone`);
  }
});

withBuilder("stops at once when the lease is lost, and says no more of it", async (setup) => {
  const { start, build, coordinator, root } = setup;
  coordinator.leaseMs = 300;
  const builder = await start();
  const observed = await build("trap '' TERM; echo pid $$; sleep 60; echo x > out");
  await until(
    () => printed(observed, "pid") !== undefined && observed.heartbeats > 2,
    "heartbeats",
  );
  assert.ok(isRunning(printed(observed, "pid")));
  coordinator.lose(observed.lease);
  await until(() => !isRunning(printed(observed, "pid")), "the command to be gone");
  await until(() => coordinator.ready.at(-1) === 1, "the slot to be free");
  const { heartbeats } = observed;
  assert.ok((await result(await build("echo x > out"))).artifact);
  assert.is(observed.results, 0);
  assert.is(observed.heartbeats, heartbeats);
  assert.is(builder.stats.lost, 1);
  assert.equal(await readdir(path.join(root, "data", "work")), []);
});

withBuilder("a result does not wait for its log, which follows", async (context) => {
  const { start, build, coordinator } = context;
  await start({ logGraceMs: 100 });
  coordinator.acknowledgeLogs = false;
  const lines = 60_000;
  const observed = await build(
    `seq ${lines} | sed 's/$/ and some more text for a longer line/'; echo x > out`,
  );
  await result(observed);
  assert.ok(observed.artifact);
  assert.ok(texts(observed, LogSource.STDOUT).length < lines);
  // It takes no slot meanwhile.
  assert.ok((await result(await build("echo x > out"))).artifact);
  coordinator.acknowledgeLogs = true;
  coordinator.breakStream();
  await until(() => observed.isLogWhole, "the end of the log");
  const said = texts(observed, LogSource.STDOUT);
  assert.is(said.length, lines);
  assert.ok(said.every((text, index) => Number.parseInt(text, 10) === index + 1));
});

withBuilder(
  "says at once what it has to say at once, to a coordinator that takes it",
  async (setup) => {
    const { coordinator, start, build } = setup;
    for (const takesSeveral of [true, false]) {
      coordinator.takesSeveral = takesSeveral;
      const builder = await start({ slots: 1 });
      const said = coordinator.several.length;
      const observed = await result(await build("echo a; echo b > out"));
      assert.ok(observed.artifact !== undefined && observed.isLogWhole);
      await until(() => coordinator.ready.length >= 2, "the free slot");
      const together = coordinator.several.slice(said);
      assert.is(together.length > 0, takesSeveral, "the log's end and the free slot");
      await builder.stop();
      coordinator.ready.length = 0;
    }
  },
);

withBuilder("loses nothing when the stream breaks", async ({ start, build, coordinator, root }) => {
  await start();
  coordinator.acknowledgeLogs = false;
  const go = path.join(root, "go");
  const wait = `while [ ! -e ${go} ]; do sleep 0.02; done`;
  const observed = await build(`echo first; ${wait}; echo second; echo x > out`);
  await until(() => texts(observed).includes("first"), "the first line");
  await coordinator.restart();
  coordinator.acknowledgeLogs = true;
  await until(() => observed.batches.filter((batch) => batch === 1).length > 1, "a repeated batch");
  coordinator.breakStream();
  coordinator.answerResults = false;
  await writeFile(go, "");
  await until(() => observed.results > 0, "a result");
  coordinator.answerResults = true;
  coordinator.breakStream();
  await result(observed);
  assert.ok(observed.artifact);
  assert.equal(texts(observed, LogSource.STDOUT), ["first", "second"]);
  const numbers = [...new Set(observed.batches)];
  assert.equal(
    numbers,
    numbers.map((_, index) => index + 1),
  );
});

withBuilder("hands its builds back when it stops", async ({ start, build, coordinator, root }) => {
  const builder = await start();
  const observed = await build("echo pid $$; sleep 60");
  await until(() => printed(observed, "pid") !== undefined, "the command");
  await Promise.all([builder.stop(), builder.stop()]);
  assert.is(coordinator.ready.at(-1), 0);
  assert.is(observed.failure?.reason, BuildFailureReason.BUILDER_ERROR);
  assert.ok(observed.retry);
  assert.not(isRunning(printed(observed, "pid")));
  assert.equal(await readdir(path.join(root, "data", "work")), []);
  await (await start()).stop();
});

withBuilder("lets builds end when it has time to stop", async ({ start, build }) => {
  const builder = await start({ drainTimeoutMs: 10_000 });
  const observed = await build("echo pid $$; sleep 0.3; echo x > out");
  await until(() => printed(observed, "pid") !== undefined, "the command");
  await builder.stop();
  assert.ok(observed.artifact);
});

withBuilder("builds several at once, and no more than it has slots for", async (setup) => {
  const { start, repository, coordinator, root } = setup;
  await start({ slots: 2 });
  const source = { repository: repository.directory };
  const go = path.join(root, "go");
  const script = `#!/bin/sh\necho pid $$; while [ ! -e ${go} ]; do sleep 0.02; done; echo x > out\n`;
  const commit = await repository.commit({ "build.sh": script });
  const spec = { command: ["./build.sh"], artifactPath: "out" };
  const builds: Observed[] = [];
  for (let index = 0; index < 3; index++)
    builds.push(await coordinator.lease(source, commit, spec));
  const running = () => builds.filter((observed) => printed(observed, "pid") !== undefined).length;
  await until(() => running() === 2, "two builds");
  await until(() => coordinator.ready.length > 0, "no more");
  assert.is(running(), 2);
  await writeFile(go, "");
  for (const observed of builds) assert.ok((await result(observed)).artifact);
});

withBuilder("cleans up what a killed builder left behind", async (setup) => {
  const { build, coordinator, root, start } = setup;
  const config = {
    id: "b1",
    coordinator: coordinator.address,
    blobStore: path.join(root, "blobs"),
    dataDir: path.join(root, "data"),
    environment: GIT_ENVIRONMENT,
  };
  const program = path.join(root, "program.mjs");
  await writeFile(
    program,
    `import { startBuilder } from ${module("builder/index.ts")};
     import { createLogger } from ${module("log.ts")};
     await startBuilder({ ...${JSON.stringify(config)}, log: createLogger("silent") });`,
  );
  const child = spawn(process.execPath, ["--import", "tsx", program], { stdio: "inherit" });
  const exited = once(child, "exit");
  try {
    const observed = await build(`${detached("sleep 60; true")}; echo pid $$; sleep 60`);
    await until(() => printed(observed, "pid") !== undefined, "the command", 20_000);
    child.kill("SIGKILL");
    await exited;
    const pids = [printed(observed, "pid"), printed(observed, "detached")];
    assert.equal(pids.map(isRunning), [true, true], "they outlive the builder");
    const builder = await start();
    await until(() => !pids.some(isRunning), "both to be gone");
    assert.equal(await readdir(path.join(root, "data", "work")), []);
    assert.equal(await readdir(path.join(root, "data", "groups")), []);
    await result(observed);
    assert.ok(observed.retry, "the lease is handed back at once");
    assert.match(observed.failure?.message ?? "", /was killed/);
    assert.ok(builder.stats.connected);
    assert.ok((await result(await build("echo x > out"))).artifact);
  } finally {
    child.kill("SIGKILL");
    await exited;
  }
});

withBuilder(
  "two builders share a machine, but not a data directory",
  async ({ start, root, build }) => {
    await start();
    try {
      await start({ id: "b2" });
      assert.unreachable();
    } catch (error) {
      assert.instance(error, DataDirectoryInUseError);
      assert.match((error as Error).message, /process \d+ has the data directory/);
    }
    await start({ id: "b2", dataDir: path.join(root, "data-2") });
    assert.ok((await result(await build("echo x > out"))).artifact);
  },
);

withBuilder("fails a build clearly when the blob store is gone", async ({ start, build, root }) => {
  await start();
  await rm(path.join(root, "blobs", "tmp"), { recursive: true });
  await writeFile(path.join(root, "blobs", "tmp"), "");
  const { failure } = await result(await build("echo x > out"));
  assert.is(failure?.reason, BuildFailureReason.BLOB_STORE_UNAVAILABLE);
  assert.match(failure?.message ?? "", /could not be put into the blob store/);
});

test.run();
