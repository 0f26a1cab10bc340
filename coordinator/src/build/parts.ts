import type { Knex } from "knex";
import type { Context, Service } from "../context.js";
import { BuildLogs } from "../logs/build-logs.js";
import { LateLines } from "../logs/late-lines.js";
import { CountedQueue } from "../queue/counted-queue.js";
import { Dispatcher } from "../queue/dispatcher.js";
import { PostgresQueue } from "../queue/postgres-queue.js";
import { Rescuer } from "../queue/rescuer.js";
import { BuilderRevocations } from "../rpc/builder/revocations.js";
import { BuilderSessions } from "../rpc/builder/sessions.js";

/** The context's parts that builds need. */
export type BuildParts = Pick<
  Context,
  "queue" | "dispatcher" | "buildLogs" | "lateLines" | "builderSessions"
>;

export function createBuildParts(
  base: Pick<Context, "config" | "log" | "nats" | "events" | "stats"> & { queueDb: Knex },
): BuildParts {
  const { config, log, queueDb: db, nats, events, stats } = base;
  const { leaseDurationMs } = config;
  const queue = new CountedQueue(new PostgresQueue({ db, events, leaseDurationMs }), stats);
  const { pollIntervalMs, logMaxBytes: maxBytes, logMaxAgeMs: maxAgeMs } = config;
  const buildLogs = new BuildLogs({ nats, log, maxBytes, maxAgeMs });
  return {
    queue,
    dispatcher: new Dispatcher({ queue, events, pollIntervalMs, log }),
    buildLogs,
    lateLines: new LateLines({ logs: buildLogs, log }),
    builderSessions: new BuilderSessions(),
  };
}

/** What runs beside the calls, in order of starting. */
export function buildServices({
  queue,
  dispatcher,
  buildLogs,
  lateLines,
  config,
  log,
  db,
  events,
  builderSessions,
}: Pick<
  Context,
  | "queue"
  | "dispatcher"
  | "buildLogs"
  | "lateLines"
  | "config"
  | "log"
  | "db"
  | "events"
  | "builderSessions"
>): readonly (readonly [what: string, Service])[] {
  return [
    ["build logs", buildLogs],
    ["late log lines", lateLines],
    ["leasing", dispatcher],
    ["builders' revocation", new BuilderRevocations({ db, events, builderSessions, log })],
    ["the rescuer", new Rescuer({ queue, leaseDurationMs: config.leaseDurationMs, log })],
  ];
}
