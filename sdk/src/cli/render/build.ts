import { BuildStatus, LogSource, ReplicationState, type Build, type LogLine } from "@slipway/proto";
import { agoText, bytesText, spanText } from "../quantities.js";
import { logText, plain, plainLines } from "../text.js";
import { buildFailureText, replicationName, statusCell } from "./names.js";
import { paint, type Look } from "./style.js";
import { facts, table } from "./table.js";

/** Builds, one a line. */
export function buildTable(builds: readonly Build[], look: Look): string {
  const headings = ["BUILD", "APPLICATION", "COMMIT", "STATUS", "CREATED", "TOOK", "DETAIL"];
  const rows = builds.map((build) => [
    build.id,
    build.application,
    build.commitSha.slice(0, 12),
    statusCell(build.status),
    agoText(build.createTime, look.now),
    tookText(build, look.now),
    detail(build),
  ]);
  return table(headings, rows, look);
}

/** Everything about one build. */
export function buildFacts(build: Build, look: Look): string {
  const { artifact, failure } = build;
  const took = tookText(build, look.now);
  return facts(
    [
      ["build", build.id],
      ["application", `${build.application} revision ${build.applicationRevision}`],
      ["commit", build.commitSha],
      ["status", statusCell(build.status)],
      ["held up", { text: blockedBy(build), colour: "yellow" }],
      ["failure", failure ? buildFailureText(failure) : ""],
      ["attempt", build.attempt === 0 ? "" : `${build.attempt} of ${build.maxAttempts}`],
      ["builder", build.builderId],
      ["submitters", build.submitters.join(", ")],
      ["created", agoText(build.createTime, look.now)],
      ["took", took],
      ["artifact", artifact?.digest ?? ""],
      ["signed", artifact ? signedText(build, look.now) : ""],
      ["size", artifact ? `${bytesText(artifact.sizeBytes)}, ${artifact.platform}` : ""],
      ...build.replications.map(
        (copy) => [`in ${plain(copy.region)}`, replicationText(copy)] as const,
      ),
      ["deployable", build.status === BuildStatus.SUCCEEDED ? yesNo(build.deployable) : ""],
    ],
    look,
  );
}

/** One line that says where the build is; two events with the same line differ in nothing to tell. */
export function buildLine(build: Build, look: Look): string {
  const { text, colour } = statusCell(build.status);
  const copies = build.replications.filter(({ state }) => state === ReplicationState.COMPLETE);
  const parts = [`build ${plain(build.id)} ${paint(look, colour, text)}`];
  if (build.status === BuildStatus.RUNNING) {
    parts.push(`attempt ${build.attempt} on ${plain(build.builderId)}`);
  }
  const held = blockedBy(build);
  if (held !== "") parts.push(paint(look, "yellow", `held up: ${plain(held)}`));
  if (build.artifact !== undefined) parts.push(bytesText(build.artifact.sizeBytes));
  if (build.failure !== undefined) parts.push(plainLines(buildFailureText(build.failure)));
  if (build.deployable) parts.push("deployable");
  else if (build.replications.length > 0) {
    parts.push(`in ${copies.length} of ${build.replications.length} regions`);
  }
  return parts.join(", ");
}

/** Why nobody takes it although it is queued; empty while somebody will, and if it cannot be told. */
export function blockedBy({ status, queueing }: Build): string {
  return status === BuildStatus.QUEUED ? (queueing?.blockedBy ?? "") : "";
}

/** A log line as it is printed: raw where it goes to a file, safe where it goes to a terminal. */
export function logLine(line: LogLine, look: Look, isTerminal: boolean): string {
  if (line.source === LogSource.SYSTEM) return paint(look, "dim", `── ${plain(line.text)}`);
  return isTerminal ? logText(line.text, look.colour) : line.text;
}

function signedText({ provenance, builderId, commitSha }: Build, now: number): string {
  if (provenance === undefined) return "no";
  const { keyId, verified, membershipKeyId, time } = provenance;
  const what = `that ${builderId} built it from ${commitSha.slice(0, 12)}, by its key ${keyId}`;
  return verified
    ? `${what}; verified by membership key ${membershipKeyId} ${agoText(time, now)}`
    : `${what}; not verified: the coordinator had no membership key`;
}

function replicationText(copy: Build["replications"][number]): string {
  const copied = `${bytesText(copy.bytesCopied)} of ${bytesText(copy.sizeBytes)}`;
  const parts = [replicationName(copy.state)];
  if (copy.state === ReplicationState.COPYING) parts.push(copied);
  if (copy.message !== "") parts.push(copy.message);
  return parts.join(", ");
}

function tookText({ startTime, finishTime }: Build, now: number): string {
  if (startTime === undefined) return "";
  return spanText((finishTime?.getTime() ?? now) - startTime.getTime());
}

function detail(build: Build): string {
  if (build.failure !== undefined) return buildFailureText(build.failure);
  if (build.deployable) return "deployable";
  const held = blockedBy(build);
  if (held !== "") return `held up: ${held}`;
  return build.status === BuildStatus.RUNNING ? `on ${build.builderId}` : "";
}

function yesNo(value: boolean): string {
  return value ? "yes" : "not yet";
}
