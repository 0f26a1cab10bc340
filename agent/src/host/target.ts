import { isDeepStrictEqual } from "node:util";
import type { Goal, GoalVersion, Release } from "@slipway/proto";
import type { FailureRecord, ReleaseRecord } from "./application-state.js";
import { isChosen, selectorTakes } from "./choose.js";
import type { HostEnvironment } from "./release-environment.js";
import type { VerifiedGoal } from "./verify-goal.js";

/** What a goal asks of this host. */
export type Target =
  /** Run this release. */
  | { kind: "run"; release: Release }
  /** Have this release staged, and keep what runs, or run `meanwhile`. */
  | { kind: "hold"; release: Release; meanwhile: Release | undefined }
  /** The goal's release failed here at this generation: do not try again. */
  | { kind: "failed"; failure: FailureRecord }
  /** The application is no more, or not for this host. */
  | { kind: "forget" };

type HostLabels = Pick<HostEnvironment, "hostId" | "labels">;

/** Whether the application is for this host at all. */
export function takesHost(
  { labels }: Pick<HostLabels, "labels">,
  { removed, selector }: Pick<GoalVersion, "removed" | "selector">,
): boolean {
  return !removed && selectorTakes(selector, labels);
}

/** What a host runs, and what it could not. */
interface HostState {
  active: Pick<ReleaseRecord, "generation"> | undefined;
  failed: FailureRecord | undefined;
}

/** Decides what a host does about a goal. */
export function chooseTarget(
  host: HostLabels,
  { goal, run }: VerifiedGoal,
  state: HostState,
): Target {
  if (run === undefined || !takesHost(host, goal)) return { kind: "forget" };
  if (!isChosen(host.hostId, goal.deploymentId, goal.bucketLimit)) {
    return { kind: "hold", release: run, meanwhile: releaseInForce(goal, state) };
  }
  return state.failed?.generation === goal.generation
    ? { kind: "failed", failure: state.failed }
    : { kind: "run", release: run };
}

/**
 * What is to run where the goal's own release does not, if that is not what does. A new host that runs
 * nothing must not wait for the end of a canary, and one that was away may have missed a success. What
 * a later goal than that success told this host to run is nobody's to take back but a roll-back's.
 */
export function releaseInForce(
  { previous, previousGeneration }: Pick<Goal, "previous" | "previousGeneration">,
  { active, failed }: HostState,
): Release | undefined {
  if (active === undefined) return previous;
  const missed = active.generation < previousGeneration;
  return missed && failed?.generation !== previousGeneration ? previous : undefined;
}

/**
 * Whether two goals ask the same of this host, as they do when a limit rises above others: then
 * nothing that is under way for the one needs to end for the other.
 */
export function asksTheSame(host: HostLabels, one: VerifiedGoal, other: VerifiedGoal): boolean {
  const ask = ({ goal, run }: VerifiedGoal): unknown => [
    goal.generation,
    takesHost(host, goal),
    isChosen(host.hostId, goal.deploymentId, goal.bucketLimit),
    goal.deploymentId,
    run,
    goal.previous,
    goal.previousGeneration,
  ];
  return isDeepStrictEqual(ask(one), ask(other));
}
