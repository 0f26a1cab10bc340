import { forgetOld } from "./audit/retention.js";
import type { Context, Service } from "./context.js";
import { Sweeper } from "./sweeper.js";

/** What keeps a coordinator's tables in bounds, beside the calls. */
export function operationServices({
  config,
  db,
  log,
}: Pick<Context, "config" | "db" | "log">): readonly (readonly [string, Service])[] {
  const sweeps = [
    {
      what: "deleting old audit entries and freezes",
      run: (signal: AbortSignal) => forgetOld(db, config.auditMaxAgeMs, signal),
    },
  ];
  return [["sweeping", new Sweeper({ sweeps, intervalMs: config.sweepIntervalMs, log })]];
}
