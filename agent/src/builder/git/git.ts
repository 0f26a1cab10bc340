import type { GroupRecords } from "../process/group-records.js";
import { runGroup, StartError } from "../process/run-group.js";
import { BuilderStoppingError } from "../failure.js";
import { classifyGitError, type GitTrouble } from "./classify.js";
import { ALLOWED_PROTOCOLS, redactCredentials } from "./repository-url.js";

const STDOUT_MAX = 64 * 1024;
const STDERR_TAIL = 4 * 1024;
const GRACE_MS = 2000;

/** Variables that point git at another repository than the one it is told to use. */
const REPOSITORY_VARIABLES = [
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_CEILING_DIRECTORIES",
  "GIT_COMMON_DIR",
  "GIT_CONFIG",
  "GIT_DIR",
  "GIT_GRAFT_FILE",
  "GIT_INDEX_FILE",
  "GIT_NAMESPACE",
  "GIT_OBJECT_DIRECTORY",
  "GIT_PREFIX",
  "GIT_QUARANTINE_PATH",
  "GIT_REPLACE_REF_BASE",
  "GIT_SHALLOW_FILE",
  "GIT_WORK_TREE",
];

/** Over whatever the user's configuration says. */
const SETTINGS = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "init.templateDir=",
  "advice.detachedHead=false",
  "gc.autoDetach=false",
  "maintenance.autoDetach=false",
  "submodule.recurse=false",
  "fetch.recurseSubmodules=false",
].flatMap((setting) => ["-c", setting]);

/** A git command that failed. The message is git's own, without credentials. */
export class GitError extends Error {
  override readonly name = "GitError";
  readonly trouble: GitTrouble;
  /** Of git; undefined if it did not exit by itself. */
  readonly exitCode: number | undefined;

  constructor(message: string, trouble: GitTrouble, exitCode?: number) {
    super(redactCredentials(message));
    this.trouble = trouble;
    this.exitCode = exitCode;
  }
}

export interface GitOptions {
  /** What git inherits: with it the user's configuration and credentials. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Of one git command, in ms. */
  timeoutMs: number;
  /** Before the first retry of a fetch, in ms; doubles. */
  retryDelayMs: number;
  records: GroupRecords;
}

export interface GitRun {
  cwd: string;
  signal: AbortSignal;
  /** No transport at all: an object that is not here counts as missing and is not fetched. */
  offline?: boolean;
}

/** The system's git, without prompts, hooks, and transports that run commands. */
export class Git {
  readonly options: GitOptions;

  constructor(options: GitOptions) {
    this.options = options;
  }

  /** Runs git and returns what it printed. Throws GitError, or the signal's reason. */
  async run(
    parameters: readonly string[],
    { cwd, signal, offline = false }: GitRun,
  ): Promise<string> {
    let stdout = "";
    let stderr = "";
    const name = parameters.find((each, at) => /^[a-z]/.test(each) && parameters[at - 1] !== "-c");
    const exit = await runGroup({
      command: ["git", ...SETTINGS, ...parameters],
      cwd,
      environment: this.#environment(offline),
      timeoutMs: this.options.timeoutMs,
      graceMs: GRACE_MS,
      signal,
      abortsGently: (reason) => reason instanceof BuilderStoppingError,
      records: this.options.records,
      variable: undefined,
      onOutput: (source, chunk) => {
        if (source === "stdout") stdout = (stdout + chunk.toString("utf8")).slice(0, STDOUT_MAX);
        else stderr = (stderr + chunk.toString("utf8")).slice(-STDERR_TAIL);
      },
    }).catch((error: unknown) => {
      if (!(error instanceof StartError)) throw error;
      throw new GitError(`git cannot be started on the builder: ${error.message}`, "disk");
    });
    if (exit.timedOut) {
      const seconds = Math.round(this.options.timeoutMs / 1000);
      throw new GitError(`git ${name} took longer than ${seconds} s\n${stderr.trim()}`, "lasting");
    }
    if (exit.exitCode !== 0) {
      const how = exit.signal === null ? "" : `git ${name} was ended by ${exit.signal}\n`;
      const message = `${how}${stderr.trim()}` || `git ${name} exited with ${exit.exitCode}`;
      throw new GitError(message, classifyGitError(stderr), exit.exitCode ?? undefined);
    }
    return stdout;
  }

  #environment(offline: boolean): Record<string, string | undefined> {
    const environment: Record<string, string | undefined> = {
      ...this.options.environment,
      LC_ALL: "C",
      GIT_TERMINAL_PROMPT: "0",
      SSH_ASKPASS_REQUIRE: "never",
      GIT_OPTIONAL_LOCKS: "0",
      GIT_ALLOW_PROTOCOL: offline ? "none" : ALLOWED_PROTOCOLS.join(":"),
      // git 2.44 and later; older ones fail to fetch for the lack of a protocol.
      ...(offline ? { GIT_NO_LAZY_FETCH: "1" } : {}),
    };
    for (const name of REPOSITORY_VARIABLES) delete environment[name];
    return environment;
  }
}
