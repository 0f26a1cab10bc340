import {
  ArtifactFormat,
  durationFromMs,
  type ApplicationSpec,
  type HealthCheck,
} from "@slipway/proto";
import type { Input } from "../input.js";
import { UsageError } from "./exit-code.js";
import { readDocument, type FileNode } from "./file-node.js";

/** What an application file says. */
export interface ApplicationFile {
  name: string;
  spec: Input<ApplicationSpec>;
  /** The line of what a path from the request names, or of the nearest that holds it. */
  lineOf(requestField: string): number | undefined;
}

/** Largest file that is read, in bytes: a coordinator takes specs of 256 KiB. */
export const APPLICATION_FILE_MAX_BYTES = 1024 * 1024;

/** Paths in the request of what has another one in the file. */
const FILE_PATHS: readonly (readonly [RegExp, string])[] = [
  [/^spec\.source\.repository/, "repository"],
  [/^spec\.source\.trunk/, "trunk"],
  [/^spec\.source\.allow_unmerged/, "allowUnmerged"],
  [/^spec\.source/, "repository"],
  [/^spec\.build\.artifact_path/, "build.artifact"],
  [/^spec\.build\.artifact_format/, "build.format"],
  [/^spec\.build\.max_attempts/, "build.maxAttempts"],
  [/^spec\.run\.health_check\.http_url/, "run.health.http"],
  [/^spec\.run\.health_check\.tcp_address/, "run.health.tcp"],
  [/^spec\.run\.health_check\.command(\.command)?/, "run.health.command"],
  [/^spec\.run\.health_check/, "run.health"],
  [/^spec\.run\.stop_timeout/, "run.stopTimeout"],
  [/^spec\.run\.executable_name/, "run.executableName"],
  [/^spec\./, ""],
];

/** Where the file says what the request calls so: "build.artifact" for "spec.build.artifact_path". */
export function filePath(requestField: string): string {
  for (const [pattern, replacement] of FILE_PATHS) {
    if (pattern.test(requestField)) return requestField.replace(pattern, replacement);
  }
  return requestField;
}

/**
 * Reads an application file: YAML, of which JSON is a part.
 * @throws UsageError that lists everything wrong with its form, by line. What values are allowed is
 *   the coordinator's to say.
 */
export function readApplicationFile(text: string, fileName: string): ApplicationFile {
  const { root, problems, lineAt } = readDocument(text);
  const fields = root.fields([
    "name",
    "repository",
    "trunk",
    "allowUnmerged",
    "build",
    "run",
    "regions",
    "selector",
  ]);
  const name = fields.required("name").string();
  const source = {
    repository: fields.required("repository").string(),
    ...fields.optional("trunk", (node) => ({ trunk: node.string() })),
    ...fields.optional("allowUnmerged", (node) => ({ allowUnmerged: node.boolean() })),
  };
  const spec: Input<ApplicationSpec> = {
    source,
    build: readBuild(fields.required("build")),
    run: readRun(fields.required("run")),
    regions: fields.required("regions").strings(),
    ...fields.optional("selector", (node) => ({ selector: node.stringMap() })),
  };
  if (problems.length > 0) {
    const list = [...problems]
      .sort((one, other) => one.line - other.line)
      .map(({ line, path, message }) => {
        return `  ${fileName}:${line}: ${path === "" ? "" : `${path} `}${message}`;
      });
    const hint = "See the format with: slipway app apply --example";
    throw new UsageError(`${fileName} is not an application:\n${list.join("\n")}\n${hint}`);
  }
  return { name, spec, lineOf: (field) => lineAt(filePath(field)) };
}

function readBuild(node: FileNode): Input<ApplicationSpec["build"]> {
  const fields = node.fields([
    "command",
    "artifact",
    "format",
    "environment",
    "timeout",
    "maxAttempts",
  ]);
  return {
    command: fields.required("command").strings(),
    artifactPath: fields.required("artifact").string(),
    artifactFormat:
      fields.optional("format", (format) =>
        format.oneOf({ executable: ArtifactFormat.EXECUTABLE, tar: ArtifactFormat.TAR }),
      ) ?? ArtifactFormat.EXECUTABLE,
    ...fields.optional("environment", (map) => ({ environment: map.stringMap() })),
    ...fields.optional("timeout", (time) => ({ timeout: durationFromMs(time.durationMs()) })),
    ...fields.optional("maxAttempts", (count) => ({ maxAttempts: count.wholeNumber() })),
  };
}

function readRun(node: FileNode): Input<ApplicationSpec["run"]> {
  const fields = node.fields(["command", "environment", "health", "stopTimeout", "executableName"]);
  return {
    command: fields.required("command").strings(),
    ...fields.optional("environment", (map) => ({ environment: map.stringMap() })),
    ...fields.optional("health", (health) => ({ healthCheck: readHealth(health) })),
    ...fields.optional("stopTimeout", (time) => ({
      stopTimeout: durationFromMs(time.durationMs()),
    })),
    ...fields.optional("executableName", (name) => ({ executableName: name.string() })),
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
