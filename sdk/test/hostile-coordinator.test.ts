import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { BuildStatus, DeploymentState, HostPhase } from "@slipway/proto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { APPLICATION_EXAMPLE } from "../src/cli/application-example.js";
import { startHostileServer, type Hostility } from "./support/hostile-server.js";
import { runCli, type Ended } from "./support/run-cli.js";

const test = suite("a coordinator that steers terminals");

const TEXT = "x\u001b[2J\u001b]0;owned\u0007\u009b31m\r\b\u007f\u202ey\u2066z\u200f";
/** What moves a cursor, rings, or turns text; line ends are the command line's own. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
const ID = "01920000-0000-7000-8000-000000000001";
const ENUMS = {
  BuildStatus: BuildStatus.FAILED,
  DeploymentState: DeploymentState.FAILED,
  HostPhase: HostPhase.FAILED,
};
const BY = ["--reason", "why"];
/** All but those whose output is a log or an envelope, told as it is to whoever pipes it. */
const COMMANDS: readonly (readonly string[])[] = [
  ["app", "get", "web"],
  ["app", "list"],
  ["app", "apply", "-f", "FILE"],
  ["app", "remove", "web", ...BY],
  ["build", "submit", "web", "0123456789abcdef0123456789abcdef01234567"],
  ["build", "get", ID],
  ["build", "list"],
  ["build", "watch", ID],
  ["build", "cancel", ID],
  ["build", "verify", ID, "--membership-public-key", "FILE"],
  ["deploy", ID, "--plan"],
  ["deploy", ID],
  ["watch", ID],
  ["rollback", "web"],
  ["pause", ID, ...BY],
  ["resume", ID, ...BY],
  ["promote", ID, ...BY],
  ["abort", ID, ...BY],
  ["status", "web"],
  ["status"],
  ["audit"],
  ["regions"],
  ["freeze", "create", "--region", "eu", "--for", "1h", ...BY],
  ["freeze", "list"],
  ["freeze", "end", ID],
  ["token", "create", "--name", "ci", "--role", "viewer"],
  ["token", "list"],
  ["token", "revoke", "0123456789abcdef01234567", ...BY],
  ["whoami"],
  ["hosts", "list"],
  ["hosts", "decommission", "web-17", ...BY],
  ["members", "list"],
  ["members", "revoke", "web-17", ...BY],
  ["members", "release", "web-17", ...BY],
];

let folder: string;
let file: string;
test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "slipway-hostile-cli-"));
  file = path.join(folder, "file");
  await writeFile(file, APPLICATION_EXAMPLE);
});
test.after(() => rm(folder, { recursive: true, force: true }));

/** Those that show what others do not, or in another way, as JSON as well. */
const AS_JSON = COMMANDS.filter(([first = "", second]) =>
  ["app get", "build watch", "hosts list", "audit", "watch"].some(
    (each) => each === first || each === `${first} ${second}`,
  ),
).map((args) => [...args, "--json"]);

async function runAll(
  commands: readonly (readonly string[])[],
  hostility: Hostility,
  check: (label: string, ended: Ended) => void,
): Promise<void> {
  const server = await startHostileServer(hostility);
  try {
    const waiting = [...commands];
    const work = async (): Promise<void> => {
      for (let args = waiting.shift(); args !== undefined; args = waiting.shift()) {
        const all = args.map((each) => (each === "FILE" ? file : each));
        check(all.join(" "), await runCli([...all, "--coordinator", server.address]));
      }
    };
    await Promise.all([work(), work()]);
  } finally {
    server.stop();
  }
}
const shown = ({ stdout, stderr }: Ended): string => stdout + stderr;

test("no answer gets through as it is, in text nor as JSON", async () => {
  let told = 0;
  await runAll([...COMMANDS, ...AS_JSON], { text: TEXT, enums: ENUMS }, (label, ended) => {
    assert.not.match(shown(ended), RAW, label);
    assert.not.match(ended.stderr, /unknown (option|command)|TypeError|at file:/, label);
    if (/\\u001b/.test(shown(ended))) told += 1;
  });
  assert.ok(told > COMMANDS.length / 2, `only ${told} runs showed what the server said`);
});

test("no refusal does either", async () => {
  const commands = [
    ["app", "list"],
    ["watch", ID],
    ["whoami", "--json"],
    ["watch", ID, "--json"],
  ];
  await runAll(commands, { text: TEXT, enums: {}, refuses: true }, (label, ended) => {
    assert.is.not(ended.code, 0, label);
    assert.not.match(shown(ended), RAW, label);
    assert.match(shown(ended), /\\u001b/, label);
  });
});

test.run();
