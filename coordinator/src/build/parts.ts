import type { Context, Service } from "../context.js";
import { BuildLogs } from "../logs/build-logs.js";
import { Dispatcher } from "../queue/dispatcher.js";
import { PostgresQueue } from "../queue/postgres-queue.js";
import { Rescuer } from "../queue/rescuer.js";
import { BuilderSessions } from "../rpc/builder/sessions.js";

/** The context's parts that builds need. */
export type BuildParts = Pick<Context, "queue" | "dispatcher" | "buildLogs" | "builderSessions">;

export function createBuildParts(
  base: Pick<Context, "config" | "log" | "db" | "nats" | "events">,
): BuildParts {
  const { config, log, db, nats, events } = base;
  const queue = new PostgresQueue({ db, events, leaseDurationMs: config.leaseDurationMs });
  const { pollIntervalMs, logMaxBytes: maxBytes, logMaxAgeMs: maxAgeMs } = config;
  return {
    queue,
    dispatcher: new Dispatcher({ queue, events, pollIntervalMs, log }),
    buildLogs: new BuildLogs({ nats, log, maxBytes, maxAgeMs }),
    builderSessions: new BuilderSessions(),
  };
}

/** What runs beside the calls, in order of starting. */
export function buildServices({
  queue,
  dispatcher,
  buildLogs,
  config,
  log,
}: Pick<Context, "queue" | "dispatcher" | "buildLogs" | "config" | "log">): readonly (readonly [
  what: string,
  Service,
])[] {
  return [
    ["build logs", buildLogs],
    ["leasing", dispatcher],
    ["the rescuer", new Rescuer({ queue, leaseDurationMs: config.leaseDurationMs, log })],
  ];
}
