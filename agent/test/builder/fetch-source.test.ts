import { access, chown, mkdir, mkdtemp, readFile, readdir, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { BuildFailureReason, SourceSpec } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BuildError } from "../../src/builder/failure.js";
import { fetchSource } from "../../src/builder/git/fetch-source.js";
import { Git } from "../../src/builder/git/git.js";
import { TrunkHistories } from "../../src/builder/git/trunk-history.js";
import { GroupRecords } from "../../src/builder/process/group-records.js";
import { GIT_ENVIRONMENT, createRepository, remove, type Repository } from "./repository.js";

interface Setup {
  root: string;
  repository: Repository;
  /** Fetches, and returns the checkout. */
  fetch: (
    commit: string,
    source?: Partial<SourceSpec>,
    options?: { timeoutMs?: number; signal?: AbortSignal; environment?: Record<string, string> },
  ) => Promise<string>;
}

const test = suite("fetch source");

function withRepository(title: string, run: (setup: Setup) => Promise<void>): void {
  test(title, async () => {
    const root = await mkdtemp(path.join(tmpdir(), "slipway-git-"));
    try {
      const repository = await createRepository(path.join(root, "repository"));
      const records = new GroupRecords(path.join(root, "groups"));
      await records.killLeftovers("NONE=1");
      let count = 0;
      await run({
        root,
        repository,
        fetch: async (commit, source = {}, options = {}) => {
          const { timeoutMs = 20_000, signal = AbortSignal.timeout(20_000) } = options;
          const environment = { ...GIT_ENVIRONMENT, ...options.environment };
          const git = new Git({ environment, timeoutMs, retryDelayMs: 10, records });
          const histories = new TrunkHistories(git, path.join(root, "histories"));
          await histories.removeUnused();
          count += 1;
          const directory = path.join(root, `checkout-${count}`);
          const spec = SourceSpec.fromPartial({ repository: repository.directory, ...source });
          await fetchSource(git, histories, { source: spec, commit, directory, signal });
          return directory;
        },
      });
      assert.equal(await readdir(path.join(root, "groups")), [], "no group is left");
    } finally {
      await remove(root);
    }
  });
}

async function fails(
  reason: BuildFailureReason,
  action: Promise<unknown>,
  message: RegExp,
): Promise<void> {
  try {
    await action;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    assert.is(error.reason, reason, error.message);
    assert.match(error.message, message);
    return;
  }
  throw new Error("did not fail");
}

const ABSENT = "0123456789abcdef0123456789abcdef01234567";
const { COMMIT_NOT_FOUND, COMMIT_NOT_ON_TRUNK, REPOSITORY_UNAVAILABLE } = BuildFailureReason;

withRepository("checks out the commit asked for, not the newest", async (setup) => {
  const { repository, fetch } = setup;
  const first = await repository.commit({ "a.txt": "one", "dir/b": "b" });
  const second = await repository.commit({ "a.txt": "two" });
  for (const where of [repository.directory, `file://${repository.directory}`]) {
    const old = await fetch(first, { repository: where });
    assert.is(await readFile(path.join(old, "a.txt"), "utf8"), "one");
    assert.is(await readFile(path.join(old, "dir/b"), "utf8"), "b");
    const now = await fetch(second, { repository: where });
    assert.is(await readFile(path.join(now, "a.txt"), "utf8"), "two");
  }
});

withRepository("refuses what the trunk does not reach, and keeps no files of it", async (setup) => {
  const { repository, fetch, root } = setup;
  const base = await repository.commit({ a: "1" });
  await repository.git("checkout", "--quiet", "-b", "feature");
  const unmerged = await repository.commit({ a: "2" });
  await fails(
    COMMIT_NOT_ON_TRUNK,
    fetch(unmerged),
    /"main" of .* does not reach .* merge it first/,
  );
  await fetch(unmerged, { allowUnmerged: true });
  await fetch(unmerged, { trunk: "feature" });
  await fetch(base, { trunk: "feature" });
  await fails(COMMIT_NOT_ON_TRUNK, fetch(base, { trunk: "gone" }), /no branch "gone"/);
  await fails(COMMIT_NOT_ON_TRUNK, fetch(base, { trunk: "a:b" }), /cannot be the name/);
  await repository.git("checkout", "--quiet", "main");
  await repository.git("merge", "--quiet", "--no-ff", "feature");
  await fetch(unmerged);
  // The trunk is rewritten: what it reached before does not count.
  await repository.git("reset", "--quiet", "--hard", base);
  await fails(COMMIT_NOT_ON_TRUNK, fetch(unmerged), /does not reach/);
  const [history] = await readdir(path.join(root, "histories"));
  const directory = path.join(root, "histories", history ?? "");
  const list = ["cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"];
  const objects = await repository.git("--git-dir", directory, ...list);
  assert.equal([...new Set(objects.split("\n"))], ["commit"]);
});

withRepository("knows that a server which filters nothing has it all the same", async (setup) => {
  const { repository, fetch, root } = setup;
  const first = await repository.commit({ a: "1" });
  await repository.commit({ a: "2" });
  // Stands in for ssh, with a serving side that knows neither filters nor fetching by SHA.
  const settings = "-c uploadpack.allowFilter=false -c protocol.version=0";
  const ssh = `#!/bin/sh\nshift\neval "exec git ${settings} \${*#git-}"\n`;
  await writeFile(path.join(root, "ssh"), ssh, { mode: 0o755 });
  const records = new GroupRecords(path.join(root, "groups"));
  const git = new Git({
    environment: { ...GIT_ENVIRONMENT, GIT_SSH: path.join(root, "ssh"), GIT_SSH_VARIANT: "simple" },
    timeoutMs: 20_000,
    retryDelayMs: 10,
    records,
  });
  const histories = new TrunkHistories(git, path.join(root, "histories"));
  await histories.removeUnused();
  const source = SourceSpec.fromPartial({ repository: `ssh://host${repository.directory}` });
  const signal = AbortSignal.timeout(20_000);
  const directory = path.join(root, "checkout");
  await fetchSource(git, histories, { source, commit: first, directory, signal });
  assert.is(await readFile(path.join(directory, "a"), "utf8"), "1");
  await fails(
    COMMIT_NOT_FOUND,
    fetchSource(git, histories, {
      source,
      commit: ABSENT,
      directory: path.join(root, "checkout-2"),
      signal,
    }),
    /has no commit/,
  );
  await fetch(first);
});

withRepository(
  "says that a commit or a repository is not there",
  async ({ repository, fetch, root }) => {
    const commit = await repository.commit({ a: "1" });
    await fails(COMMIT_NOT_FOUND, fetch(ABSENT), /has no commit 0123456789/);
    await fails(COMMIT_NOT_FOUND, fetch("a".repeat(64)), /has no commit/);
    await fails(COMMIT_NOT_FOUND, fetch("main"), /not a full commit SHA/);
    const tree = await repository.git("rev-parse", `${commit}^{tree}`);
    await fails(COMMIT_NOT_FOUND, fetch(tree), /is a tree|has no commit/);
    const missing = path.join(root, "none");
    await fails(
      REPOSITORY_UNAVAILABLE,
      fetch(commit, { repository: missing }),
      /cannot fetch from .*none/,
    );
    await fails(
      REPOSITORY_UNAVAILABLE,
      fetch(commit, { repository: root }),
      /not appear to be a git/,
    );
    const touched = path.join(root, "touched");
    for (const repository of [
      `ext::touch ${touched}`,
      `--upload-pack=touch ${touched}`,
      "relative",
    ]) {
      await fails(REPOSITORY_UNAVAILABLE, fetch(commit, { repository }), /./);
    }
    assert.is(await access(touched).catch(() => "absent"), "absent");
  },
);

withRepository("says how to allow a repository of another user", async ({ repository, fetch }) => {
  const commit = await repository.commit({ a: "1" });
  if (process.getuid?.() !== 0) {
    // Only root can give a repository away; the message itself is covered by the table of errors.
    await fetch(commit);
    return;
  }
  await chown(repository.directory, 12_345, 12_345);
  await chown(path.join(repository.directory, ".git"), 12_345, 12_345);
  await fails(REPOSITORY_UNAVAILABLE, fetch(commit), /safe\.directory .*repository/);
});

withRepository("runs no hooks and asks nobody", async ({ repository, fetch, root }) => {
  const commit = await repository.commit({ a: "1" });
  const touched = path.join(root, "hook-ran");
  const hooks = path.join(root, "template", "hooks");
  await mkdir(hooks, { recursive: true });
  const hook = `#!/bin/sh\ntouch ${touched}\n`;
  await writeFile(path.join(hooks, "post-checkout"), hook, { mode: 0o755 });
  const settings = `[init] templateDir = ${path.dirname(hooks)}\n[core] hooksPath = ${hooks}\n`;
  await writeFile(path.join(root, "gitconfig"), settings);
  const environment = { GIT_CONFIG_GLOBAL: path.join(root, "gitconfig"), GIT_DIR: "/nonexistent" };
  const directory = await fetch(commit, {}, { environment });
  assert.is(await access(touched).catch(() => "absent"), "absent");
  assert.equal((await readdir(directory)).sort(), [".git", "a"]);
  const closed = "https://127.0.0.1:1/x.git";
  const url = closed.replace("://", "://user:secret@");
  const failed = fetch(commit, { repository: url }).catch((error: unknown) => error);
  const { message } = (await failed) as Error;
  assert.match(message, /cannot fetch from https:\/\/\*\*\*@127\.0\.0\.1:1/);
  assert.not.match(message, /secret/);
});

withRepository(
  "gives a server that says nothing up, at the deadline or when told",
  async (setup) => {
    const { repository, fetch } = setup;
    const commit = await repository.commit({ a: "1" });
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const address = server.address();
      const port = typeof address === "object" ? address?.port : 0;
      const silent = { repository: `git://127.0.0.1:${port}/x` };
      const slow = fetch(commit, silent, { timeoutMs: 300 });
      await fails(REPOSITORY_UNAVAILABLE, slow, /git fetch took longer/);
      const controller = new AbortController();
      const reason = new Error("lost");
      setTimeout(() => controller.abort(reason), 100);
      const told = fetch(commit, silent, { signal: controller.signal });
      assert.is(await told.catch((error: unknown) => error), reason);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  },
);

withRepository("starts afresh when its copy of the history is damaged", async (setup) => {
  const { repository, fetch, root } = setup;
  const first = await repository.commit({ a: "1" });
  await repository.commit({ a: "2" });
  await fetch(first);
  const [history = ""] = await readdir(path.join(root, "histories"));
  await writeFile(path.join(root, "histories", history, "packed-refs"), "garbage\n");
  await writeFile(path.join(root, "histories", history, "HEAD"), "garbage\n");
  await fetch(first);
});

test.run();
