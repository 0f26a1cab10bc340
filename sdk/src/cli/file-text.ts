import { SlipwayError } from "../errors.js";
import { UsageError } from "./exit-code.js";
import type { FileDocument } from "./file-node.js";

/** A file that a request was made from, so that the coordinator's complaints can name its lines. */
export interface FileText {
  fileName: string;
  /** Where the file says what the request calls so; undefined for what is not the file's to say. */
  pathOf: (requestField: string) => string | undefined;
  /** The line of what a path from the request names, or of the nearest that holds it. */
  lineOf: (requestField: string) => number | undefined;
}

/** Paths in the request of what has another one in the file, without the part before it. */
const FILE_PATHS: readonly (readonly [RegExp, string])[] = [
  [/^source\.(repository|trunk|allow_unmerged)/, "$1"],
  [/^source\b/, "repository"],
  [/^build\.artifact_path/, "build.artifact"],
  [/^build\.artifact_format/, "build.format"],
  [/^run\.health_check\.http_url/, "run.health.http"],
  [/^run\.health_check\.tcp_address/, "run.health.tcp"],
  [/^run\.health_check\.command(\.command)?/, "run.health.command"],
  [/^run\.health_check/, "run.health"],
  [/^(run\.secrets\["[^"]*"\]\.command)(\.command)?/, "$1"],
];

/**
 * A path in a file: `build.artifact` for `build.artifact_path`, `run.secrets.A_B` for
 * `run.secrets["A_B"]`.
 * @param field a path from the request, without what the file has no name for.
 */
function filePath(field: string): string {
  const [pattern, replacement] = FILE_PATHS.find(([one]) => one.test(field)) ?? [/^/, ""];
  return field
    .replace(pattern, replacement)
    .replace(/\["([^"]*)"\]|_([a-z])/g, (_, key: string | undefined, letter: string | undefined) =>
      letter === undefined ? `.${key}` : letter.toUpperCase(),
    );
}

/**
 * What a file has to say once it is read.
 * @param prefix what the request puts before the file's own paths; matches only those.
 * @throws UsageError that lists everything wrong with its form, by line.
 */
export function fileFaults(
  { problems, lineAt }: FileDocument,
  fileName: string,
  what: string,
  prefix: RegExp,
): FileText {
  if (problems.length > 0) {
    const list = [...problems]
      .sort((one, other) => one.line - other.line)
      .map(({ line, path, message }) => {
        return `  ${fileName}:${line}: ${path === "" ? "" : `${path} `}${message}`;
      });
    const hint = "See the format with: slipway app apply --example";
    throw new UsageError(`${fileName} is not ${what}:\n${list.join("\n")}\n${hint}`);
  }
  const pathOf: FileText["pathOf"] = (field) =>
    prefix.test(field) ? filePath(field.replace(prefix, "")) : undefined;
  return { fileName, pathOf, lineOf: (field) => lineAt(pathOf(field) ?? "") };
}

/** The coordinator's violations, by the lines and keys of the file; other errors as they are. */
export function inFile(error: unknown, { fileName, pathOf, lineOf }: FileText): unknown {
  if (!(error instanceof SlipwayError)) return error;
  if (!error.violations.some(({ field }) => pathOf(field) !== undefined)) return error;
  const violations = error.violations
    .map(({ field, description }) => ({ field, description, line: lineOf(field) }))
    .sort((one, other) => (one.line ?? 0) - (other.line ?? 0))
    .map(({ field, description, line }) => {
      const path = pathOf(field);
      if (path === undefined) return { field, description };
      const at = line === undefined ? fileName : `${fileName}:${line}`;
      return { field: `${at} ${path}`.trimEnd(), description };
    });
  const { code, reason, retryable } = error;
  const message = `the coordinator refused ${fileName}`;
  return new SlipwayError({ code, message, reason, retryable, violations, cause: error });
}
