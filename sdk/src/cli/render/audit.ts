import type { AuditEntry } from "@slipway/proto";
import type { Look } from "./style.js";
import { table } from "./table.js";

/** Audit entries, one a line. Times are absolute, to be laid beside other records. */
export function auditTable(entries: readonly AuditEntry[], look: Look): string {
  const rows = entries.map((entry) => [
    entry.time?.toISOString().replace(/\.\d+Z$/, "Z") ?? "",
    entry.actor,
    entry.action,
    subjectOf(entry),
    [entry.message, entry.reason === "" ? "" : `(${entry.reason})`]
      .filter((part) => part !== "")
      .join(" "),
  ]);
  return table(["TIME", "ACTOR", "ACTION", "ON", "WHAT (AND WHY)"], rows, look);
}

/** The most exact that it names. */
function subjectOf(entry: AuditEntry): string {
  const { application, deploymentId, buildId, region, hostId } = entry;
  const exact = deploymentId || hostId || buildId || region;
  return [application, exact].filter((part) => part !== "").join(" ");
}
