import {
  BuildFailureReason,
  BuildStatus,
  DeploymentFailureReason,
  DeploymentState,
  HostFailureReason,
  HostPhase,
  ReplicationState,
} from "@slipway/proto";
import type { Cell } from "./table.js";
import type { Colour } from "./style.js";

const COLOURS: Readonly<Record<string, Colour>> = {
  SUCCEEDED: "green",
  RUNNING: "cyan",
  COMPLETE: "green",
  FAILED: "red",
  SUPERSEDED: "yellow",
  PAUSED: "yellow",
  WAITING: "yellow",
  ABORTED: "red",
};

/** An enum's value as people read it, in its colour. */
function cell(name: string | undefined): Exclude<Cell, string> {
  const text = name ?? "UNRECOGNIZED";
  return { text, colour: COLOURS[text] };
}

export const statusCell = (status: BuildStatus): Exclude<Cell, string> => cell(BuildStatus[status]);
export const stateCell = (state: DeploymentState): Exclude<Cell, string> =>
  cell(DeploymentState[state]);
export const replicationName = (state: ReplicationState): string =>
  state === ReplicationState.UNSPECIFIED ? "unknown" : words(ReplicationState[state]);

/** A host's phase: RUNNING is its good end. */
export function phaseCell(phase: HostPhase): Exclude<Cell, string> {
  const { text, colour } = cell(HostPhase[phase]);
  return { text: text.toLowerCase(), colour: phase === HostPhase.RUNNING ? "green" : colour };
}

/** "command failed: make exited with 2": a reason and its message. */
export function buildFailureText(failure: { reason: BuildFailureReason; message: string }): string {
  return reasonText(BuildFailureReason[failure.reason], failure.message);
}
export function deploymentFailureText(failure: {
  reason: DeploymentFailureReason;
  message: string;
}): string {
  return reasonText(DeploymentFailureReason[failure.reason], failure.message);
}
export function hostFailureText(failure: { reason: HostFailureReason; message: string }): string {
  return reasonText(HostFailureReason[failure.reason], failure.message);
}

function reasonText(reason: string | undefined, message: string): string {
  return message === "" ? words(reason) : `${words(reason)}: ${message}`;
}

function words(name: string | undefined): string {
  return (name ?? "UNRECOGNIZED").toLowerCase().replaceAll("_", " ");
}
