/** Where a deployment stands, as the database says it. */
export type State = "PENDING" | "RUNNING" | "SUCCEEDED" | "FAILED" | "SUPERSEDED";

export type FailureReason = "HOSTS_FAILED" | "DEADLINE_EXCEEDED";

interface Failure {
  reason: FailureReason;
  /** For a person: which hosts, which regions, what was waited for. */
  message: string;
}

/** What can happen to a deployment. */
export type DeploymentEvent =
  /** The artifact is complete in all regions: the goal may be set. */
  | { type: "deployable" }
  /** Every host runs it. */
  | { type: "arrived" }
  /** Hosts failed and none is on its way, or time is up. */
  | { type: "failed"; failure: Failure }
  /** A newer deployment of the application was created. */
  | { type: "superseded"; by: string };

/** What the event changes. Times are set by whoever stores it, by the database's clock. */
export type Transition =
  | { state: "RUNNING" }
  | { state: "SUCCEEDED" }
  | { state: "FAILED"; failure: Failure }
  | { state: "SUPERSEDED"; by: string };

/** Whether the state is never left. */
export function isFinal(state: State): boolean {
  return state !== "PENDING" && state !== "RUNNING";
}

/**
 * The one place that says how a deployment moves: PENDING → RUNNING → SUCCEEDED | FAILED, and
 * SUPERSEDED from both. Undefined where the event changes nothing: a final state is never left, and
 * an event may come twice.
 */
export function transition(state: State, event: DeploymentEvent): Transition | undefined {
  if (isFinal(state)) return undefined;
  switch (event.type) {
    case "deployable":
      return state === "PENDING" ? { state: "RUNNING" } : undefined;
    case "arrived":
      return state === "RUNNING" ? { state: "SUCCEEDED" } : undefined;
    case "failed":
      // Before the goal is set only time can run out.
      if (state === "PENDING" && event.failure.reason !== "DEADLINE_EXCEEDED") return undefined;
      return { state: "FAILED", failure: event.failure };
    case "superseded":
  }
  return { state: "SUPERSEDED", by: event.by };
}
