const LEVELS: Record<number, string> = { 40: "warn", 50: "error", 60: "fatal" };
const LEFT_OUT = new Set(["level", "time", "pid", "hostname", "msg", "name", "err", "error"]);

/** A process's log line for people: of JSON its message and fields, anything else as it is. */
export function readableLogLine(line: string): string {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return line;
  }
  if (typeof entry !== "object" || entry === null) return line;
  const { level, time, msg, err, error } = entry as Record<string, unknown>;
  const words = [
    typeof time === "number" ? new Date(time).toISOString().slice(11, 23) : "",
    typeof level === "number" ? (LEVELS[level] ?? "") : "",
    typeof msg === "string" ? msg : "",
    ...Object.entries(entry)
      .filter(([name]) => !LEFT_OUT.has(name))
      .map(([name, value]) => `${name}=${show(value)}`),
    errorText(err ?? error),
  ];
  return words.filter((word) => word !== "").join(" ");
}

function errorText(error: unknown): string {
  if (error === undefined || error === null) return "";
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  return `\n    ${show(stack ?? message ?? error).replaceAll("\n", "\n    ")}`;
}

function show(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
