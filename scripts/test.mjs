// Runs every */test/**/*.test.ts as its own process, a few at a time, each with a time limit.
// uvu alone exits 0 when a suite's `before` throws, when a file forgets `test.run()` and when a
// stray `.only` skips the rest, so a file counts as passed only if it exits 0 and says that it ran
// at least one test, passed all and skipped none.
//
//   node scripts/test.mjs [PATTERN …]   only files whose path contains one of the patterns
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const TIMEOUT_MS = 240_000;
const root = fileURLToPath(new URL("..", import.meta.url));
const patterns = process.argv.slice(2);
const files = ["proto", "sdk", "coordinator", "agent", "examples", "benchmarks"]
  .flatMap((workspace) => testsIn(path.join(root, workspace, "test")))
  .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)));

const running = new Set();
// Tests are in process groups of their own, which no terminal's Ctrl-C reaches.
for (const [signal, number] of [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGTERM", 15],
]) {
  process.on(signal, () => {
    for (const pid of running) kill(pid);
    process.exit(128 + number);
  });
}

let passed = 0;
let failed = 0;
const queue = [...files];
// They mostly wait: two cores are not busy with two.
await Promise.all(Array.from({ length: Math.max(3, availableParallelism()) }, work));
if (files.length === 0) console.log("no test file matches");
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

async function work() {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const started = Date.now();
    const { code, output } = await run(file);
    const total = count(output, "Total");
    const ok = count(output, "Passed");
    const skipped = count(output, "Skipped");
    const good = code === 0 && total > 0 && ok === total && skipped === 0;
    passed += ok;
    failed += good ? 0 : Math.max(1, total - ok + skipped);
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(
      `${good ? "ok  " : "FAIL"} ${path.relative(root, file)} (${ok}/${total}, ${seconds} s)`,
    );
    if (!good) console.log(`${output}\nexit: ${code}`);
  }
}

function testsIn(folder) {
  let entries;
  try {
    entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function run(file) {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ["--import", "./scripts/uvu-that-tells.mjs", "--import", "tsx", file],
      {
        cwd: root,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, FORCE_COLOR: "0", NO_COLOR: "1" },
      },
    );
    let output = "";
    const keep = (data) => {
      output = (output + data).slice(-200_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const timer = setTimeout(() => {
      output += `\nstill running after ${TIMEOUT_MS / 1000} s: killed`;
      kill(child.pid);
    }, TIMEOUT_MS);
    running.add(child.pid);
    // What it left behind may hold its output open, which then would not close.
    child.on("exit", () => {
      kill(child.pid);
      running.delete(child.pid);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal, output });
    });
  });
}

/** Ends a test's whole process group, also what it left behind. */
function kill(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

function count(output, label) {
  // eslint-disable-next-line no-control-regex
  const plain = output.replace(/\u001b\[[0-9;]*m/g, "");
  const match = new RegExp(`^\\s*${label}:\\s+(\\d+)`, "m").exec(plain);
  return match === null ? 0 : Number(match[1]);
}
