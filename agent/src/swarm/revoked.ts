/** Most ids that can be revoked at once. */
export const REVOKED_MAX = 100_000;

/** The fleet has taken this peer's certificate back, though it has not expired. */
export class RevokedError extends Error {
  override readonly name = "RevokedError";
}

/** Throws RangeError for more ids than REVOKED_MAX. */
export function checkRevoked(ids: ReadonlySet<string>): ReadonlySet<string> {
  if (ids.size <= REVOKED_MAX) return ids;
  throw new RangeError(`${ids.size} revoked ids: more than ${REVOKED_MAX}`);
}
