import type { Asked } from "../../rollout/deployer.js";
import type { Violations } from "../../validate.js";

/** Checks what creating and rolling back have in common. */
export function checkAsked(
  { creator, reason, idempotencyKey }: Omit<Asked, "request">,
  request: string,
  found: Violations,
): Asked {
  found.text("creator", creator, 255);
  found.check(reason.length <= 2_000, "reason", "must have at most 2000 characters");
  found.text("idempotency_key", idempotencyKey, 255);
  return { creator, reason, idempotencyKey, request };
}
