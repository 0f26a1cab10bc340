import { AuditServiceService, type AuditServiceServer } from "@slipway/proto";
import { filter, viewer } from "../../auth/rules.js";
import type { Handlers, ServiceEntry } from "../handler.js";
import { listAuditEntries } from "./list-audit-entries.js";

export function auditService(handlers: Handlers): ServiceEntry {
  const implementation: AuditServiceServer = {
    listAuditEntries: handlers.unary(
      viewer(filter(({ application }) => application)),
      listAuditEntries,
    ),
  };
  return { definition: AuditServiceService, implementation };
}
