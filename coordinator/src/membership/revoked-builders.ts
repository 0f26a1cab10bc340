import type { Knex } from "knex";
import { permissionDenied, type DomainError } from "../errors.js";
import { memberRows } from "./member-store.js";

/** Those of the ids that no builder may have any more: revoked as a builder's, or before any joined. */
export async function revokedBuilders(db: Knex, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = await memberRows(db)
    .whereRaw("id = any(?)", [[...ids]])
    .whereNotNull("revoke_time")
    .where((either) => {
      void either.whereNull("role").orWhere({ role: "BUILDER" });
    })
    .select("id");
  return rows.map(({ id }) => id);
}

/** What a revoked builder is told, whatever token it shows. */
export function builderRevoked(id: string): DomainError {
  const message = `builder ${id} was revoked, which is for good: run it under another id`;
  return permissionDenied("MEMBER_REVOKED", message);
}
