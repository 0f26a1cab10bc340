import type { Knex } from "knex";
import type { Context, Service } from "../context.js";
import { BuildLogs } from "../logs/build-logs.js";
import { LateLines } from "../logs/late-lines.js";
import { ConnectedBuilders } from "../queue/connected-builders.js";
import { CountedQueue } from "../queue/counted-queue.js";
import { Dispatcher } from "../queue/dispatcher.js";
import { PostgresQueue } from "../queue/postgres-queue.js";
import { Rescuer } from "../queue/rescuer.js";
import { BuilderRevocations } from "../rpc/builder/revocations.js";
import { BuilderSessions } from "../rpc/builder/sessions.js";

/** The context's parts that builds need. */
export type BuildParts = Pick<
  Context,
  "queue" | "dispatcher" | "buildLogs" | "lateLines" | "builderSessions" | "connectedBuilders"
>;

export function createBuildParts(
  base: Pick<Context, "config" | "log" | "db" | "nats" | "events" | "stats"> & { queueDb: Knex },
): BuildParts {
  const { config, log, db: mainDb, queueDb: db, nats, events, stats } = base;
  const { leaseDurationMs } = config;
  const queue = new CountedQueue(new PostgresQueue({ db, events, leaseDurationMs }), stats);
  const { pollIntervalMs, logMaxBytes: maxBytes, logMaxAgeMs: maxAgeMs } = config;
  const buildLogs = new BuildLogs({ nats, log, maxBytes, maxAgeMs });
  const onSeats = (): void => connectedBuilders.changed();
  const dispatcher = new Dispatcher({ queue, events, pollIntervalMs, log, onSeats });
  const here = (): string[] => dispatcher.builderIds;
  const connectedBuilders = new ConnectedBuilders({ db: mainDb, here, log });
  return {
    queue,
    dispatcher,
    connectedBuilders,
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
  connectedBuilders,
}: BuildParts & Pick<Context, "config" | "log" | "db" | "events">): readonly (readonly [
  what: string,
  Service,
])[] {
  return [
    ["build logs", buildLogs],
    ["late log lines", lateLines],
    ["leasing", dispatcher],
    ["saying which builders are connected", connectedBuilders],
    ["builders' revocation", new BuilderRevocations({ db, events, builderSessions, log })],
    ["the rescuer", new Rescuer({ queue, leaseDurationMs: config.leaseDurationMs, log })],
  ];
}
