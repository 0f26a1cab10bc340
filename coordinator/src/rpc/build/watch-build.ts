import {
  Build,
  BuildFailureReason,
  BuildStatus,
  type LogLine,
  type WatchBuildRequest,
  WatchBuildResponse,
} from "@slipway/proto";
import { getBuild } from "../../build/store.js";
import { viewBuild } from "../../build/view.js";
import type { Context } from "../../context.js";
import { LogTail } from "../../logs/log-tail.js";
import { Violations } from "../../validate.js";
import { Wake } from "../../wake.js";
import type { CallInfo, Outgoing } from "../handler.js";

/** Every line that was kept before the final state is sent before it. */
export async function* watchBuild(
  context: Context,
  { id, logs, afterLogSequence, untilDeployable, untilCaughtUp }: WatchBuildRequest,
  { signal }: Pick<CallInfo, "signal">,
): AsyncGenerator<Outgoing<WatchBuildResponse>> {
  const found = new Violations();
  found.uuid("id", id);
  found.check(Number.isSafeInteger(afterLogSequence), "after_log_sequence", "is out of range");
  found.throwIfAny();

  const { buildLogs, steady, config, events, log } = context;
  const wake = new Wake();
  let isStale = true;
  const changed = (): void => {
    isStale = true;
    wake.signal();
  };
  const stops = [events.subscribe("build", changed, id)];
  try {
    let build = await readBuild(context, id);
    const now = (): number => steady.now();
    const tail = logs
      ? new LogTail({ logs: buildLogs, buildId: id, after: afterLogSequence, log, now })
      : undefined;
    if (untilCaughtUp) {
      if (tail !== undefined) for await (const lines of tail.kept()) yield logEvent(lines);
      yield { event: { $case: "build", value: build } };
      return;
    }
    if (tail !== undefined) stops.push(buildLogs.onLines(id, () => wake.signal()));
    let sent = Buffer.alloc(0);
    let isTailRead = tail === undefined;
    let watchesArtifact = false;
    let nextRead = 0;
    while (true) {
      if (isStale || steady.now() >= nextRead) {
        isStale = false;
        nextRead = steady.now() + config.watchIntervalMs;
        build = await readBuild(context, id);
      }
      if (build.artifact !== undefined && !watchesArtifact) {
        watchesArtifact = true;
        stops.push(events.subscribe("artifact", changed, build.artifact.digest));
      }
      const isFinal = build.status === BuildStatus.SUCCEEDED || build.status === BuildStatus.FAILED;
      if (isFinal && tail !== undefined && !isTailRead) {
        isTailRead = true;
        for await (const lines of tail.rest(attemptWithLog(build))) yield logEvent(lines);
      }
      const bytes = Buffer.from(Build.encode(build).finish());
      if (!bytes.equals(sent)) {
        sent = bytes;
        yield { event: { $case: "build", value: build } };
      }
      const waitsForReplication = untilDeployable && build.status === BuildStatus.SUCCEEDED;
      if (isFinal && !(waitsForReplication && !build.deployable)) return;
      if (!isFinal && tail !== undefined) {
        const { lines, more } = await tail.read();
        if (lines.length > 0) yield logEvent(lines);
        if (more) continue;
      }
      await wake.next({ timeoutMs: Math.max(1, nextRead - steady.now()), signal });
    }
  } finally {
    for (const stop of stops) stop();
  }
}

async function readBuild(context: Context, id: string): Promise<Build> {
  return viewBuild(context, await getBuild(context.db, id));
}

/** Whose log has an end; 0 if it was cut off. */
function attemptWithLog({ attempt, failure }: Build): number {
  return failure?.reason === BuildFailureReason.CANCELLED ? 0 : attempt;
}

/** As bytes, which take a tenth of the memory while the reader does not read. */
function logEvent(lines: LogLine[]): Buffer {
  const event = { $case: "logs" as const, value: { lines, endedAttempt: 0 } };
  return Buffer.from(WatchBuildResponse.encode({ event }).finish());
}
