import type {
  AbortDeploymentRequest,
  AbortDeploymentResponse,
  PauseDeploymentRequest,
  PauseDeploymentResponse,
  PromoteDeploymentRequest,
  PromoteDeploymentResponse,
  ResumeDeploymentRequest,
  ResumeDeploymentResponse,
} from "@slipway/proto";
import type { Context } from "../../context.js";
import { change } from "../../rollout/change.js";
import { findDeployment } from "../../rollout/deployment-store.js";
import { Violations } from "../../validate.js";
import { checkAuthor } from "../author.js";
import type { CallInfo } from "../handler.js";

export async function pauseDeployment(
  context: Context,
  request: PauseDeploymentRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<PauseDeploymentResponse> {
  checked(request).throwIfAny();
  const { id, actor, reason: message } = request;
  const event = { type: "paused", reason: "REQUESTED", actor, message } as const;
  const { stored } = await change(context, id, event, identity.tokenId);
  return { deployment: stored.deployment };
}

export async function resumeDeployment(
  context: Context,
  request: ResumeDeploymentRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<ResumeDeploymentResponse> {
  checked(request).throwIfAny();
  const { id, actor, reason: message } = request;
  const { stored } = await change(
    context,
    id,
    { type: "resumed", actor, message },
    identity.tokenId,
  );
  return { deployment: stored.deployment };
}

export async function promoteDeployment(
  context: Context,
  request: PromoteDeploymentRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<PromoteDeploymentResponse> {
  const found = checked(request);
  const { id, actor, reason: message, step } = request;
  found.check(step > 0, "step", "is missing: which step is to begin, counted from 1");
  found.throwIfAny();
  const { stored } = await change(
    context,
    id,
    { type: "promoted", step, actor, message },
    identity.tokenId,
  );
  return { deployment: stored.deployment };
}

export async function abortDeployment(
  context: Context,
  request: AbortDeploymentRequest,
  { identity }: Pick<CallInfo, "identity">,
): Promise<AbortDeploymentResponse> {
  checked(request).throwIfAny();
  const { id, actor, reason: message, keepSwitched } = request;
  const event = { type: "aborted", actor, message, keepSwitched } as const;
  const { stored, rollBack } = await change(context, id, event, identity.tokenId);
  // Aborted before: the one that was made then.
  const { rolledBackBy } = stored.deployment;
  const back =
    rollBack ?? (rolledBackBy === "" ? undefined : await findDeployment(context.db, rolledBackBy));
  return { deployment: stored.deployment, rollBack: back?.deployment };
}

function checked(request: { id: string; actor: string; reason: string }): Violations {
  const found = new Violations();
  found.uuid("id", request.id);
  checkAuthor(request, found);
  return found;
}
