import type { Failure, Limits, PauseReason, Silence, Snapshot } from "./snapshot.js";

/** Who does what the coordinator does by itself. */
export const SLIPWAY = "slipway";

/** What can happen to a deployment. */
export type DeploymentEvent =
  /**
   * Something beside its hosts holds it up, and is not waited for in vain; empty: no longer. Of one
   * that somebody paused: why it is not going to go on well.
   * @param held that this counts towards no deadline
   */
  | { type: "blocked"; by: string; held: boolean }
  /** What is silent now is what somebody has resumed it in spite of. */
  | { type: "accepted"; silence: Silence }
  /** Regions that it went on without are heard again, and count from now on. */
  | { type: "returned"; regions: readonly string[] }
  /** The present step's regions and hosts have the bytes, and may switch. */
  | { type: "staged" }
  /** More hosts are to switch. A limit below the present one changes nothing. */
  | { type: "raised"; limits: Limits }
  /** The present step's hosts have switched. */
  | { type: "switched" }
  /** And have stayed healthy. */
  | { type: "baked" }
  /** More hosts failed than may, or time is up. */
  | { type: "failed"; failure: Failure }
  | { type: "paused"; reason: PauseReason; actor: string; message: string }
  | { type: "resumed"; actor: string; message: string }
  /** @param step the one that is to begin. */
  | { type: "promoted"; step: number; actor: string; message: string }
  | { type: "aborted"; actor: string; message: string; keepSwitched: boolean }
  /** A newer deployment of the application was created. */
  | { type: "superseded"; by: string };

/** What is to be written with the changed deployment. */
export interface AuditNote {
  actor: string;
  /** After "deployment.". */
  action: string;
  reason: string;
  message: string;
}

export type Outcome =
  | { kind: "unchanged" }
  /** Somebody asked for what cannot be. */
  | { kind: "refused"; reason: string; message: string }
  | {
      kind: "changed";
      next: Snapshot;
      /** For the audit; none for what is no change of state or step. */
      note: AuditNote | undefined;
      /** Whoever asked to hear of ends and pauses is told. */
      notify: boolean;
      /** What ran before is to be put back by a new deployment, if there is something. */
      rollBack: boolean;
    };
