import { AuditServiceService, ListAuditEntriesRequest, type AuditEntry } from "@slipway/proto";
import type { Caller } from "./caller.js";
import type { CallOptions } from "./options.js";
import { everyItem, type Page, type PageRequest } from "./pages.js";

/** Which audit entries to list; everything left out takes all. */
export interface AuditFilter {
  application?: string;
  deploymentId?: string;
  /** Who did it; "slipway" for what the coordinator did by itself. */
  actor?: string;
  /** An action, such as "deployment.pause", or the part before its dot for all of those. */
  action?: string;
  /** Only entries from after this time. */
  after?: Date;
  /** Only entries from before this time. */
  before?: Date;
}

/** Who changed what, when and why. */
export interface Audit {
  /** All that fit, newest first. */
  list(filter?: AuditFilter, options?: CallOptions): AsyncIterable<AuditEntry>;
  /** `pageSize` is 100 by default, and at most 1,000. */
  listPage(filter?: AuditFilter & PageRequest, options?: CallOptions): Promise<Page<AuditEntry>>;
}

export function createAudit(caller: Caller): Audit {
  const listPage: Audit["listPage"] = async (filter = {}, options) => {
    const { entries, nextPageToken } = await caller.unary(
      AuditServiceService.listAuditEntries,
      "idempotent",
      ListAuditEntriesRequest.fromPartial(filter),
      options,
    );
    return { items: entries, nextPageToken };
  };
  return {
    list: (filter, options) =>
      everyItem((pageToken) => listPage({ ...filter, pageToken }, options)),
    listPage,
  };
}
