import { ArtifactFormat, durationFromMs, type ApplicationSpec } from "@slipway/proto";
import type { Input } from "../input.js";
import { readDocument, type FileNode } from "./file-node.js";
import { fileFaults, type FileText } from "./file-text.js";
import { readRun } from "./run-file.js";
import { readStrategy } from "./strategy-file.js";

/** What an application file says. */
export interface ApplicationFile extends FileText {
  name: string;
  spec: Input<ApplicationSpec>;
}

/** Largest file that is read, in bytes: a coordinator takes specs of 256 KiB. */
export const APPLICATION_FILE_MAX_BYTES = 1024 * 1024;

/**
 * Reads an application file: YAML, of which JSON is a part.
 * @throws UsageError that lists everything wrong with its form, by line. What values are allowed is
 *   the coordinator's to say.
 */
export function readApplicationFile(text: string, fileName: string): ApplicationFile {
  const document = readDocument(text);
  const fields = document.root.fields([
    "name",
    "repository",
    "trunk",
    "allowUnmerged",
    "build",
    "run",
    "regions",
    "selector",
    "strategy",
    "notificationHooks",
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
    ...fields.optional("strategy", (node) => ({ strategy: readStrategy(node) })),
    ...fields.optional("notificationHooks", (node) => ({
      notificationHooks: node
        .items("a list of hooks, such as [{url: https://…}]")
        .map((hook) => ({ url: hook.fields(["url"]).required("url").string() })),
    })),
  };
  return {
    name,
    spec,
    ...fileFaults(document, fileName, "an application", /^spec(\.|$)|^(?=name$)/),
  };
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
