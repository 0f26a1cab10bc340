import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const HEAD = 'import { suite } from "uvu";\nconst test = suite("x");\n';

const FILES: Record<string, string> = {
  good: `${HEAD}test("a", () => {});\ntest.run();`,
  fails: `${HEAD}test("a", () => { throw new Error("no"); });\ntest.run();`,
  "throws-before": `${HEAD}test.before(() => { throw new Error("no"); });\ntest("a", () => {});\ntest.run();`,
  "never-runs": `${HEAD}test("a", () => {});`,
  skips: `${HEAD}test("a", () => {});\ntest.skip("b", () => {});\ntest.run();`,
  // Its child holds the output open for longer than this test may take.
  "leaves-a-child": `import { spawn } from "node:child_process";\n${HEAD}
    test("a", () => void spawn("sleep", ["600"], { stdio: "inherit" }).unref());\ntest.run();`,
};

const runner = suite<{ dir: string }>("the test runner");

runner.before.each(async (context) => {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-test-"));
  context.dir = dir;
  await mkdir(path.join(dir, "proto", "test"), { recursive: true });
  await cp(path.join(ROOT, "scripts"), path.join(dir, "scripts"), { recursive: true });
  await symlink(path.join(ROOT, "node_modules"), path.join(dir, "node_modules"));
  await writeFile(path.join(dir, "package.json"), '{ "type": "module" }');
  for (const [name, text] of Object.entries(FILES)) {
    await writeFile(path.join(dir, "proto", "test", `${name}.test.ts`), text);
  }
});
runner.after.each(({ dir }) => rm(dir, { recursive: true }));

function run(dir: string, ...patterns: string[]): Promise<{ code: number; lines: string[] }> {
  const args = [path.join(dir, "scripts", "test.mjs"), ...patterns];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { timeout: 120_000 }, (_, stdout) => {
      resolve({ code: child.exitCode ?? -1, lines: stdout.trimEnd().split("\n") });
    });
  });
}

runner("fails files that did not run, or not all of their tests", async ({ dir }) => {
  const { code, lines } = await run(dir);
  const failed = lines.flatMap((line) => /^FAIL proto\/test\/([\w-]+)/.exec(line)?.[1] ?? []);
  assert.equal(failed.sort(), ["fails", "never-runs", "skips", "throws-before"]);
  assert.is(lines.at(-1), "3 passed, 4 failed");
  assert.is(code, 1);
});

runner("ends what a test left behind, and passes good files", async ({ dir }) => {
  const { code, lines } = await run(dir, "good", "leaves");
  assert.is(lines.at(-1), "2 passed, 0 failed");
  assert.is(code, 0);
});

runner("passes nothing when no file matches", async ({ dir }) => {
  const { code, lines } = await run(dir, "nonesuch");
  assert.is(lines.at(-1), "0 passed, 0 failed");
  assert.is(code, 1);
});

runner.run();
