import { Command, InvalidArgumentError } from "commander";
import { addAbort } from "./abort.js";
import { addAppApply } from "./app-apply.js";
import { addAppGet } from "./app-get.js";
import { addAppList } from "./app-list.js";
import { addAppRemove } from "./app-remove.js";
import { addAudit } from "./audit.js";
import { addBuildCancel } from "./build-cancel.js";
import { addBuildGet } from "./build-get.js";
import { addBuildList } from "./build-list.js";
import { addBuildLogs } from "./build-logs.js";
import { addBuildSubmit } from "./build-submit.js";
import { addBuildVerify } from "./build-verify.js";
import { addBuildWatch } from "./build-watch.js";
import { addDeploy } from "./deploy.js";
import { parseDuration } from "./duration-text.js";
import { EXIT_HELP } from "./exit-code.js";
import { addFreezeCreate } from "./freeze-create.js";
import { addFreezeEnd } from "./freeze-end.js";
import { addFreezeList } from "./freeze-list.js";
import { addHostsDecommission } from "./hosts-decommission.js";
import { addHostsList } from "./hosts-list.js";
import { addHostsLogs } from "./hosts-logs.js";
import { addMembersList } from "./members-list.js";
import { addMembersRelease } from "./members-release.js";
import { addMembersRevoke } from "./members-revoke.js";
import { addPause } from "./pause.js";
import { addPromote } from "./promote.js";
import { addRegions } from "./regions.js";
import { addResume } from "./resume.js";
import { addRollback } from "./rollback.js";
import type { Run } from "./run.js";
import { addStatus } from "./status.js";
import { addTokenCreate } from "./token-create.js";
import { addTokenList } from "./token-list.js";
import { addTokenRevoke } from "./token-revoke.js";
import { addWatch } from "./watch.js";
import { addWhoAmI } from "./whoami.js";

/** Options that every command has, as they were given. */
export interface GlobalOptions {
  coordinator: string;
  json?: boolean;
  /** Milliseconds. */
  timeout?: number;
  ca?: string;
  clientCert?: string;
  clientKey?: string;
  tokenFile?: string;
  insecure?: boolean;
}

/** What the environment says in place of options. */
export interface Defaults {
  coordinator: string | undefined;
  ca: string | undefined;
  tokenFile: string | undefined;
}

/** Where commander writes help and usage errors. */
interface Writers {
  writeOut: (text: string) => void;
  writeErr: (text: string) => void;
}

const INTRODUCTION =
  "Builds merged code once and has it running on every machine of a fleet. Each command has a " +
  "--help of its own, with examples.";

const EPILOGUE = `
The way of a commit:
  slipway app apply -f app.yaml                   say what the application is
  slipway build submit web SHA --wait-deployable  build the commit
  slipway deploy BUILD                            run it everywhere, and watch
  slipway rollback web                            go back, if need be

When something is wrong:
  slipway pause web                               no further host switches
  slipway resume web                              go on
  slipway abort web                               end it, and put back what ran
  slipway freeze create --region eu --for 2h --reason WHY

Environment:
  SLIPWAY_COORDINATOR, SLIPWAY_TIMEOUT, SLIPWAY_CA  in place of the options
  SLIPWAY_TOKEN_FILE                                in place of --token-file
  SLIPWAY_TOKEN                                     a bearer token to send
  NO_COLOR                                          no colours

JSON:
  With --json, standard output is one JSON document; for what goes on (watch,
  deploy, rollback, build submit --watch, build logs, hosts logs) it is one JSON
  object a line, with its kind in "type". Names are those of the protocol, zero values are left
  out. An error is a JSON object on standard error.

${EXIT_HELP}`;

/** The command line: what it takes, and what it does. Throws CommanderError instead of exiting. */
export function createProgram(
  version: string,
  defaults: Defaults,
  writers: Writers,
  run: Run,
): Command {
  const program = new Command("slipway")
    .description(INTRODUCTION)
    .version(version)
    .exitOverride()
    .configureOutput(writers)
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError("See how with --help.")
    .option(
      "--coordinator <host:port>",
      "where coordinators listen; several with commas",
      defaults.coordinator ?? "127.0.0.1:7700",
    )
    .option("--json", "print JSON, for programs")
    .option(
      "--timeout <duration>",
      "for one call, such as 30s (default 10s); a watch has no end of its own",
      parseTimeout,
    )
    .option("--ca <file>", "trust this certificate authority (PEM), and use TLS", defaults.ca)
    .option("--client-cert <file>", "this client's certificate (PEM), where one is asked for")
    .option("--client-key <file>", "its private key (PEM)")
    .option("--token-file <file>", "the bearer token to send", defaults.tokenFile)
    .option("--insecure", "plain text, also to coordinators on other machines")
    .addHelpText("after", EPILOGUE);

  const group = (name: string, summary: string): Command =>
    program.command(name).summary(summary).description(summary);
  const app = group("app", "applications: what to build, how to run it, and where");
  for (const add of [addAppApply, addAppGet, addAppList, addAppRemove]) add(app, run);
  const build = group("build", "builds: turn commits into artifacts");
  for (const add of [addBuildSubmit, addBuildGet, addBuildList]) add(build, run);
  for (const add of [addBuildWatch, addBuildLogs, addBuildCancel]) add(build, run);
  addBuildVerify(build, run);
  for (const add of [addDeploy, addWatch, addRollback]) add(program, run);
  for (const add of [addPause, addResume, addPromote, addAbort]) add(program, run);
  const freeze = group("freeze", "freezes: times in which nothing new begins");
  for (const add of [addFreezeCreate, addFreezeList, addFreezeEnd]) add(freeze, run);
  for (const add of [addStatus, addAudit, addRegions]) add(program, run);
  const token = group("token", "tokens: who may call coordinators, and what for");
  for (const add of [addTokenCreate, addTokenList, addTokenRevoke]) add(token, run);
  addWhoAmI(program, run);
  const hosts = group("hosts", "list hosts and what runs on each; read their logs");
  for (const add of [addHostsList, addHostsLogs, addHostsDecommission]) add(hosts, run);
  const members = group("members", "who has joined the fleet; revoke and release them");
  for (const add of [addMembersList, addMembersRevoke, addMembersRelease]) add(members, run);
  return program;
}

/** Reads --timeout: milliseconds of a duration. */
export function parseTimeout(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0 && ms < 2 ** 31) return ms;
  throw new InvalidArgumentError("It must be a duration such as 500ms, 30s or 2m.");
}
