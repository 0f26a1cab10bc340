// Asks the registry for known vulnerabilities of what is locked; fails on one of high severity or
// above. A registry that cannot be asked (a mirror without that service, no network) is said so and
// passes: the answer is then not known, and whoever publishes a release has to ask elsewhere.
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

const LEVELS = ["high", "critical"];
const { stdout, error } = spawnSync("npm", ["audit", "--json"], {
  cwd: fileURLToPath(new URL("..", import.meta.url)),
  encoding: "utf8",
  timeout: 120_000,
  maxBuffer: 64 * 1024 * 1024,
});
if (error !== undefined) throw error;
const report = JSON.parse(stdout);
const counts = report.metadata?.vulnerabilities;
if (counts === undefined) {
  const reason = report.message ?? report.error?.summary ?? "no answer";
  console.log(`NOT AUDITED: the registry does not answer for vulnerabilities (${reason})`);
} else {
  for (const [name, { severity, range }] of Object.entries(report.vulnerabilities)) {
    if (LEVELS.includes(severity)) console.error(`${severity}: ${name} ${range}`);
  }
  console.log(`known vulnerabilities: ${JSON.stringify(counts)}`);
  process.exitCode = LEVELS.some((level) => counts[level] > 0) ? 1 : 0;
}
