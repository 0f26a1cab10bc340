import { forgetOld } from "./audit/retention.js";
import type { Context, Service } from "./context.js";
import { Deliverer } from "./notification/deliverer.js";
import { sweepNotifications } from "./notification/retention.js";
import { onReconnect } from "./status/reconnects.js";
import { Sweeper } from "./sweeper.js";

type OperationContext = Pick<
  Context,
  | "config"
  | "db"
  | "log"
  | "events"
  | "clock"
  | "nats"
  | "stats"
  | "hookSecret"
  | "revocations"
  | "revokedUsers"
>;

/** What sends notifications, publishes revocations and keeps tables in bounds, beside the calls. */
export function operationServices(
  context: OperationContext,
): readonly (readonly [string, Service])[] {
  const { config, db, log, hookSecret } = context;
  const sweeps = [
    {
      what: "deleting old audit entries and freezes",
      run: (signal: AbortSignal) => forgetOld(db, config.auditMaxAgeMs, signal),
    },
    {
      what: "clearing notifications",
      run: (signal: AbortSignal) => sweepNotifications(db, log, signal),
    },
  ];
  const services: (readonly [string, Service])[] = [
    ["sweeping", new Sweeper({ sweeps, intervalMs: config.sweepIntervalMs, log })],
    ["publishing revocations", revocationService(context)],
  ];
  if (hookSecret !== undefined) {
    services.push(["notifications to hooks", new Deliverer({ ...context, secret: hookSecret })]);
  }
  return services;
}

/** Looks as often as for goals, and when NATS is back: it may have lost what it had. */
function revocationService(context: OperationContext): Service {
  const { config, log, nats, revocations, revokedUsers } = context;
  const sweeps = [{ what: "publishing revocations", run: () => revocations.publish() }];
  if (revokedUsers !== undefined) {
    sweeps.push({ what: "shutting revoked members out", run: () => revokedUsers.publish() });
  }
  const sweeper = new Sweeper({
    sweeps,
    intervalMs: config.projectionIntervalMs,
    log,
  });
  let forget: (() => void) | undefined;
  return {
    start() {
      forget ??= onReconnect(nats, () => sweeper.wake());
      sweeper.start();
    },
    async stop() {
      forget?.();
      await sweeper.stop();
    },
  };
}
