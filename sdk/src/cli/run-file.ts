import { durationFromMs } from "@slipway/proto";
import type { HealthCheck, HookCommand, RunSpec, SecretReference } from "@slipway/proto";
import type { Input } from "../input.js";
import type { FileNode } from "./file-node.js";

/** Reads how a release is run, the value of `run` in an application file. */
export function readRun(node: FileNode): Input<RunSpec> {
  const fields = node.fields([
    "command",
    "environment",
    "secrets",
    "workingDirectory",
    "health",
    "preActivate",
    "postActivate",
    "drainTime",
    "drain",
    "stopTimeout",
    "executableName",
  ]);
  return {
    command: fields.required("command").strings(),
    ...fields.optional("environment", (map) => ({ environment: map.stringMap() })),
    ...fields.optional("secrets", (map) => ({ secrets: readSecrets(map) })),
    ...fields.optional("workingDirectory", (path) => ({ workingDirectory: path.string() })),
    ...fields.optional("health", (health) => ({ healthCheck: readHealth(health) })),
    ...fields.optional("preActivate", (hook) => ({ preActivate: readHook(hook) })),
    ...fields.optional("postActivate", (hook) => ({ postActivate: readHook(hook) })),
    ...fields.optional("drainTime", (time) => ({ drainTime: durationFromMs(time.durationMs()) })),
    ...fields.optional("drain", (hook) => ({ drain: readHook(hook) })),
    ...fields.optional("stopTimeout", (time) => ({
      stopTimeout: durationFromMs(time.durationMs()),
    })),
    ...fields.optional("executableName", (name) => ({ executableName: name.string() })),
  };
}

function readSecrets(node: FileNode): Record<string, Input<SecretReference>> {
  const entries = node.entries("a map from variables to where their values are");
  return Object.fromEntries(entries.map(([name, secret]) => [name, readSecret(secret)]));
}

function readSecret(node: FileNode): Input<SecretReference> {
  const fields = node.fields(["file", "command"]);
  const sources: NonNullable<SecretReference["source"]>[] = [];
  fields.optional("file", (path) => sources.push({ $case: "file", value: path.string() }));
  fields.optional("command", (command) =>
    sources.push({ $case: "command", value: { command: command.strings() } }),
  );
  const [source] = sources;
  if (source === undefined || sources.length > 1) node.problem("must have one of file and command");
  return source === undefined ? {} : { source };
}

function readHook(node: FileNode): Input<HookCommand> {
  const fields = node.fields(["command", "timeout"]);
  return {
    command: fields.required("command").strings(),
    ...fields.optional("timeout", (time) => ({ timeout: durationFromMs(time.durationMs()) })),
  };
}

function readHealth(node: FileNode): Input<HealthCheck> {
  const fields = node.fields(["http", "tcp", "command", "interval", "timeout", "deadline"]);
  const checks: HealthCheck["check"][] = [];
  fields.optional("http", (url) => checks.push({ $case: "httpUrl", value: url.string() }));
  fields.optional("tcp", (address) =>
    checks.push({ $case: "tcpAddress", value: address.string() }),
  );
  fields.optional("command", (command) =>
    checks.push({ $case: "command", value: { command: command.strings() } }),
  );
  if (checks.length > 1) node.problem("must have only one of http, tcp and command");
  return {
    ...(checks[0] === undefined ? {} : { check: checks[0] }),
    ...fields.optional("interval", (time) => ({ interval: durationFromMs(time.durationMs()) })),
    ...fields.optional("timeout", (time) => ({ timeout: durationFromMs(time.durationMs()) })),
    ...fields.optional("deadline", (time) => ({ deadline: durationFromMs(time.durationMs()) })),
  };
}
