import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { gitEnvironment } from "../demo/sample-repository.js";
import type { PlannedBuild } from "./traffic-plan.js";

// Two attempts at one commit give different bytes, so that it is seen whose result counts. What the
// shell has been told to become is all that it reads of the artifact.
const BUILD_SCRIPT = `. ./fate
sleep "$IDLE"
if [ "$FATE" = "build fails" ]; then echo "told to fail"; exit 3; fi
if [ "$FATE" = "release fails" ]; then runs="exit 7"; else runs="exec sleep 1000000"; fi
mkdir -p out
{ printf '#!/bin/sh\\n%s\\n' "$runs"; head -c "$SIZE" /dev/urandom; } > out/service
echo "made $SIZE bytes"
`;

/**
 * Makes a git repository with a commit for each build, all on its trunk `main`.
 * @returns the commits' SHAs, in the order of the builds.
 */
export async function createRepository(
  directory: string,
  builds: readonly PlannedBuild[],
): Promise<string[]> {
  await mkdir(directory, { recursive: true });
  await git(directory, ["init", "--quiet", "--initial-branch=main"], "");
  await git(directory, ["fast-import", "--quiet", "--done"], importOf(builds));
  const log = await git(directory, ["log", "--reverse", "--format=%H", "main"], "");
  return log.trim().split("\n");
}

function importOf(builds: readonly PlannedBuild[]): string {
  const commits = builds.map((build, index) => {
    const { fate, sizeBytes, idleMs } = build;
    const said = `FATE="${fate}"\nSIZE=${sizeBytes}\nIDLE=${(idleMs / 1_000).toFixed(3)}\n# ${index}\n`;
    const script = index === 0 ? `M 100644 inline build.sh\n${data(BUILD_SCRIPT)}` : "";
    return (
      "commit refs/heads/main\n" +
      `committer Slipway <under-fire@slipway.invalid> ${1_700_000_000 + index} +0000\n` +
      `${data(`Commit ${index + 1}: ${fate}`)}${script}M 100644 inline fate\n${data(said)}`
    );
  });
  return `${commits.join("")}done\n`;
}

function data(text: string): string {
  return `data ${Buffer.byteLength(text)}\n${text}\n`;
}

async function git(cwd: string, args: readonly string[], input: string): Promise<string> {
  const env = gitEnvironment();
  const child = spawn("git", args, { cwd, env, stdio: ["pipe", "pipe", "pipe"], timeout: 60_000 });
  const output: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => output.push(chunk));
  child.stdin.on("error", () => undefined); // It says why when it ends.
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  const said = Buffer.concat(output).toString();
  if (code !== 0) throw new Error(`git ${args[0]} failed: ${said}`);
  return said;
}
