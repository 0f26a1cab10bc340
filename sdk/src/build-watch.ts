import {
  Build,
  BuildServiceService,
  BuildStatus,
  WatchBuildRequest,
  type LogLine,
  type WatchBuildResponse,
} from "@slipway/proto";
import type { WatchPlan } from "./watch.js";

/** What a watch of a build tells. */
export type BuildEvent =
  /** A state that it was not in before, or the present one at first. */
  | { type: "build"; build: Build }
  /** One line of its log. */
  | { type: "log"; line: LogLine };

/** What to watch of a build. */
export interface BuildWatchRequest {
  /** Log lines too, from the first that is kept. Default false. */
  logs?: boolean;
  /** Only lines after this sequence: 0, the default, is all of them. */
  afterLogSequence?: number;
  /** After SUCCEEDED go on until the artifact is in every region. Default false. */
  untilDeployable?: boolean;
}

/** Also what only the library asks for. */
export interface BuildWatchPlanRequest extends BuildWatchRequest {
  /** End after the log lines that are kept now. Default false. */
  untilCaughtUp?: boolean;
}

/** After the final state, this long without a log line means that there are no more. */
const LAST_LINES_QUIET_MS = 10_000;

/** Whether it stays as it is: for ever, or, if it is to become deployable, until then. */
export function isFinalBuild(build: Build, untilDeployable = false): boolean {
  if (build.status === BuildStatus.FAILED) return true;
  return build.status === BuildStatus.SUCCEEDED && (!untilDeployable || build.deployable);
}

/**
 * The plan of a build's watch. States are told apart by revision, and at the same revision (where
 * only replication moves) by content; lines by sequence. With logs, the final state is held until
 * the stream ends, because the last lines come after it.
 */
export function buildWatchPlan(
  id: string,
  request: BuildWatchPlanRequest,
): WatchPlan<WatchBuildRequest, WatchBuildResponse, BuildEvent> {
  const { logs = false, untilDeployable = false, untilCaughtUp = false } = request;
  const asked = { id, logs, untilDeployable, untilCaughtUp };
  let afterLogSequence = request.afterLogSequence ?? 0;
  let last: Build | undefined;
  let final: Build | undefined;

  const takeBuild = (build: Build): BuildEvent[] => {
    if (isFinalBuild(build, untilDeployable)) {
      final = build;
      return logs ? [] : [{ type: "build", build }];
    }
    if (last !== undefined && !isNews(build, last)) return [];
    last = build;
    return [{ type: "build", build }];
  };
  const held = (): BuildEvent[] =>
    logs && final !== undefined ? [{ type: "build", build: final }] : [];

  return {
    method: BuildServiceService.watchBuild,
    request: () => WatchBuildRequest.fromPartial({ ...asked, afterLogSequence }),
    take: ({ event }) => {
      if (event?.$case === "build") return takeBuild(event.value);
      const events: BuildEvent[] = [];
      for (const line of event?.$case === "logs" ? event.value.lines : []) {
        if (line.sequence <= afterLogSequence) continue;
        afterLogSequence = line.sequence;
        events.push({ type: "log", line });
      }
      return events;
    },
    mayBeSilent: () => false,
    isDone: () => final !== undefined && !logs,
    quietMs: () => (final === undefined || untilCaughtUp ? undefined : LAST_LINES_QUIET_MS),
    atEnd: () => (final !== undefined || untilCaughtUp ? held() : undefined),
    held,
  };
}

function isNews(build: Build, last: Build): boolean {
  if (build.revision !== last.revision) return build.revision > last.revision;
  return !Buffer.from(Build.encode(build).finish()).equals(Build.encode(last).finish());
}
