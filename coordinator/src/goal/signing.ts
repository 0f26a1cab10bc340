import type { KeyObject } from "node:crypto";
import { Goal, GOAL_SIGNATURE_CONTEXT, type SignedGoal } from "@slipway/proto";
import type { Signer } from "../keys/signer.js";
import { createSealer, NO_OTHER_KEYS, openSealed, type SealedType, type Sealer } from "./sealer.js";

const GOALS: SealedType<Goal> = { context: GOAL_SIGNATURE_CONTEXT, codec: Goal };

/** Signs goals with the fleet's goal key. */
export interface GoalSigner extends Sealer<Goal> {
  /** Nothing that names this key counts any more, not even for the order of goals. */
  isRevoked(keyId: string): boolean;
}

export function createGoalSigner(signer: Signer, others = NO_OTHER_KEYS): GoalSigner {
  return {
    ...createSealer(GOALS, signer, others),
    isRevoked: (keyId) => others.isRevoked(keyId),
  };
}

/** The goal that was signed; undefined unless the signature is of this public key. */
export function openSignedGoal(signed: SignedGoal, publicKey: KeyObject): Goal | undefined {
  return openSealed(GOALS, signed, publicKey);
}
