import { forgetOld } from "./audit/retention.js";
import type { Context, Service } from "./context.js";
import { Deliverer } from "./notification/deliverer.js";
import { sweepNotifications } from "./notification/retention.js";
import { Sweeper } from "./sweeper.js";

/** What sends notifications and keeps tables in bounds, beside the calls. */
export function operationServices(
  context: Pick<Context, "config" | "db" | "log" | "events" | "clock" | "hookSecret">,
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
  const sweeper = new Sweeper({ sweeps, intervalMs: config.sweepIntervalMs, log });
  if (hookSecret === undefined) return [["sweeping", sweeper]];
  const deliverer = new Deliverer({ ...context, secret: hookSecret });
  return [
    ["sweeping", sweeper],
    ["notifications to hooks", deliverer],
  ];
}
