import { createHash } from "node:crypto";
import { Strategy, type CreateDeploymentRequest, type RollBackRequest } from "@slipway/proto";
import { checkScript } from "../../application/checks.js";
import type { CreateOptions } from "../../rollout/create-deployment.js";
import type { Asked } from "../../rollout/deployer.js";
import type { Violations } from "../../validate.js";

/** Checks a request to create, all but what needs the build. */
export function checkCreate(
  request: CreateDeploymentRequest,
  found: Violations,
  path = "",
): { options: CreateOptions; asked: Asked } {
  const { buildId, waitForReplication, strategy, overrideFreeze, reason } = request;
  found.uuid(`${path}build_id`, buildId);
  const justified = !overrideFreeze || reason.trim() !== "";
  found.check(justified, `${path}reason`, "is missing: say why the freeze is overridden");
  const options = { buildId, waitForReplication, strategy, overrideFreeze };
  return { options, asked: checkAsked(request, describe(options), found, path) };
}

/** Checks a request to roll back. */
export function checkRollBack(request: RollBackRequest, found: Violations, path = ""): Asked {
  const { application, toBuildId } = request;
  found.name(`${path}application`, application);
  if (toBuildId !== "") found.uuid(`${path}to_build_id`, toBuildId);
  const what = `roll back ${application} to ${toBuildId || "previous"}`;
  return checkAsked(request, what, found, path);
}

function checkAsked(
  { creator, reason, idempotencyKey }: Omit<Asked, "request">,
  request: string,
  found: Violations,
  path: string,
): Asked {
  found.text(`${path}creator`, creator, 255);
  found.check(reason.length <= 2_000, `${path}reason`, "must have at most 2000 characters");
  checkScript(reason, `${path}reason`, found);
  found.text(`${path}idempotency_key`, idempotencyKey, 255);
  return { creator, reason, idempotencyKey, request };
}

/** What an idempotency key stands for. */
function describe({ buildId, strategy, overrideFreeze }: CreateOptions): string {
  const bytes = strategy && Strategy.encode(strategy).finish();
  const own = bytes && createHash("sha256").update(bytes).digest("hex");
  const parts = [
    `deploy ${buildId}`,
    own && `by strategy ${own}`,
    overrideFreeze && "though frozen",
  ];
  return parts.filter(Boolean).join(" ");
}
