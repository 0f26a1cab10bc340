import { chmod, mkdtemp, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { BuildFailureReason, LogSource } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDirectoryBlobStore } from "../../src/blob/index.js";
import { startBuilder, type Builder, type BuilderConfig } from "../../src/builder/index.js";
import {
  confine,
  prepareConfinement,
  type ConfinementOptions,
} from "../../src/builder/process/confinement.js";
import { createLogger } from "../../src/log.js";
import { FakeCoordinator, result, type Observed } from "./fake-coordinator.js";
import { GIT_ENVIRONMENT, createRepository, remove } from "./repository.js";

const test = suite("confinement");
const log = createLogger("silent");
const root = process.getuid?.() === 0;
const linux = process.platform === "linux";
const { ARTIFACT_INVALID, COMMAND_FAILED, RESOURCE_LIMIT_EXCEEDED } = BuildFailureReason;

type Confine = Partial<ConfinementOptions>;

interface Setup {
  directory: string;
  /** Has a shell script built; its `out` is the artifact. */
  build: (script: string, confinement?: Confine) => Promise<Observed>;
}

/** A test of whole builds, on platforms that have limits. */
function withBuilder(
  title: string,
  needs: { root?: boolean },
  run: (setup: Setup) => Promise<void>,
): void {
  if (!linux || (needs.root === true && !root)) return;
  test(title, async () => {
    const directory = await mkdtemp(path.join(tmpdir(), "slipway-confined-"));
    await chmod(directory, 0o711);
    const coordinator = new FakeCoordinator();
    let builder: Builder | undefined;
    try {
      await coordinator.listen();
      const repository = await createRepository(path.join(directory, "repository"));
      await run({
        directory,
        build: async (script, confinement = {}) => {
          await builder?.stop();
          builder = await startBuilder(
            builderConfig(directory, coordinator, {
              user: undefined,
              asRoot: false,
              limits: {},
              ...confinement,
            }),
          );
          const commit = await repository.commit({ "build.sh": `#!/bin/sh\n${script}\n` });
          const source = { repository: repository.directory };
          const spec = { command: ["./build.sh"], artifactPath: "out" };
          return coordinator.lease(source, commit, spec);
        },
      });
    } finally {
      await builder?.stop();
      coordinator.close();
      await remove(directory);
    }
  });
}

function builderConfig(
  directory: string,
  coordinator: FakeCoordinator,
  confinement: ConfinementOptions,
): BuilderConfig {
  return {
    id: "b1",
    coordinator: coordinator.address,
    blobStore: path.join(directory, "blobs"),
    dataDir: path.join(directory, "data"),
    log,
    environment: { ...GIT_ENVIRONMENT, SECRET: "of the builder" },
    reconnectDelayMs: 20,
    gitRetryDelayMs: 10,
    killGraceMs: 300,
    reportTimeoutMs: 1000,
    confinement,
  };
}

function printed({ lines }: Observed): string[] {
  return lines.filter(({ source }) => source === LogSource.STDOUT).map(({ text }) => text);
}

test("limits come before the command, and rights are given up before the limits", () => {
  const limits = { cpuSeconds: 5, memoryBytes: 6, fileBytes: 7, processes: 8 };
  const tools = { prlimit: "/p", setpriv: "/s" };
  const user = { name: "nobody", uid: 7, gid: 8 };
  assert.equal(confine(["make", "-x"], { user, limits, ...tools }), {
    command: [
      "/s --no-new-privs -- /p --core=0 --cpu=5:10 --data=6 --fsize=7 --nproc=8 --".split(" "),
      ["make", "-x"],
    ].flat(),
    uid: 7,
    gid: 8,
  });
  assert.equal(confine(["make"], { user: undefined, limits: { processes: 8 }, ...tools }), {
    command: ["/p", "--core=0", "--", "make"],
  });
});

test("a user who is not there, or is root, is refused with what to do", async () => {
  if (!root) return;
  const how = { slots: 1, searchPath: "", log };
  const asked = { asRoot: false, limits: {} };
  for (const [user, expected] of [
    ["no-such-user", /there is no user no-such-user.*useradd.*--build-as-root/],
    ["root", /builds cannot run as root/],
  ] as const) {
    const failed = await prepareConfinement({ user, ...asked }, how).then(
      () => "",
      (error: Error) => error.message,
    );
    assert.match(failed, expected);
  }
});

withBuilder(
  "root's builds run as somebody else, with nothing of the builder's",
  { root: true },
  async ({ directory, build }) => {
    await writeFile(path.join(directory, "secret"), "x", { mode: 0o600 });
    const observed = await build(
      [
        "id -u; id -G; env | grep -c SECRET",
        `cat ${directory}/secret && echo read`,
        `ls ${directory}/data && echo listed`,
        `touch ${directory}/data/work/x && echo written`,
        'touch "$HOME/a" "$TMPDIR/b" && echo mine',
        "grep NoNewPrivs /proc/self/status | cut -f 2",
        "echo artifact > out",
      ].join("\n"),
    );
    assert.is((await result(observed)).artifact !== undefined, true);
    const [uid, groups, secrets, ...rest] = printed(observed);
    assert.is.not(uid, "0");
    assert.is(groups?.split(" ").includes("0"), false);
    assert.equal([secrets, ...rest], ["0", "mine", "1"]);
  },
);

withBuilder(
  "what the build's user cannot read is no artifact",
  { root: true },
  async ({ build }) => {
    const linked = await build("ln -s /etc/shadow out");
    assert.is((await result(linked)).failure?.reason, ARTIFACT_INVALID);
    const pipe = await build("mkfifo out");
    assert.is((await result(pipe)).failure?.reason, ARTIFACT_INVALID);
    assert.match((await result(pipe)).failure?.message ?? "", /is no file/);
  },
);

withBuilder(
  "a swap after the build's end finds a file of somebody else",
  { root: true },
  async ({ directory, build }) => {
    // Another user's file that root can read, where the build may make links to it.
    const other = path.join(directory, "other");
    await writeFile(other, "of root", { mode: 0o644 });
    const observed = await build(`ln ${other} out 2> /dev/null || ln -s ${other} out`);
    assert.is((await result(observed)).failure?.reason, ARTIFACT_INVALID);
  },
);

withBuilder("limits end what exceeds them, and the failure says which", {}, async ({ build }) => {
  const cpu = await build("while :; do :; done", { limits: { cpuSeconds: 1 } });
  assert.is((await result(cpu)).failure?.reason, RESOURCE_LIMIT_EXCEEDED);
  assert.match((await result(cpu)).failure?.message ?? "", /more than its 1 s of processor time/);

  const file = await build("head -c 2000000 /dev/zero > out", { limits: { fileBytes: 1_000_000 } });
  assert.is((await result(file)).failure?.reason, RESOURCE_LIMIT_EXCEEDED);
  assert.match((await result(file)).failure?.message ?? "", /more than its 1000000 bytes/);

  const memory = await build("head -c 300000000 /dev/zero | tail > out", {
    limits: { memoryBytes: 50_000_000 },
  });
  assert.is((await result(memory)).failure?.reason, COMMAND_FAILED);
});

withBuilder(
  "a fork bomb meets its limit and is cleared away",
  { root: true },
  async ({ build }) => {
    const observed = await build(
      "n=0; while [ $n -lt 200 ]; do sleep 60 & n=$((n+1)); done; echo all; echo x > out",
      { limits: { processes: 100 } },
    );
    assert.is((await result(observed)).artifact, undefined);
    assert.is(printed(observed).includes("all"), false);
  },
);

withBuilder(
  "a command that is not there, or may not run, is said as without limits",
  {},
  async ({ build, directory }) => {
    const inner = await build("./missing");
    // Of the script's own command it is the script that fails.
    assert.is((await result(inner)).failure?.reason, COMMAND_FAILED);
    assert.match((await result(inner)).failure?.message ?? "", /exited with code 127/);
    assert.ok(await stat(directory));
  },
);

withBuilder(
  "root builds as root where it is told to",
  { root: true },
  async ({ build, directory }) => {
    const observed = await result(await build("id -u; echo x > out", { asRoot: true }));
    assert.equal(printed(observed), ["0"]);
    const digest = observed.artifact?.digest ?? "";
    const store = await openDirectoryBlobStore(path.join(directory, "blobs"));
    assert.is((await store.open(digest)) !== undefined, true);
  },
);

test.run();
