import { checkScript } from "../application/checks.js";
import type { Author } from "../audit/audit-log.js";
import type { Violations } from "../validate.js";

const MAX_REASON_CHARACTERS = 2_000;

/** Checks who says that something is to be done, and why; a reason may be required. */
export function checkAuthor(
  { actor, reason, tokenId }: Author,
  found: Violations,
  { needsReason = false }: { needsReason?: boolean } = {},
): Author {
  found.text("actor", actor, 255);
  const description = `must have at most ${MAX_REASON_CHARACTERS} characters`;
  found.check(reason.length <= MAX_REASON_CHARACTERS, "reason", description);
  if (needsReason) found.check(reason.trim() !== "", "reason", "is missing: it is kept for others");
  checkScript(reason, "reason", found);
  return { actor, reason, tokenId };
}
