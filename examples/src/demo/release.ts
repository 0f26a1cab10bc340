import { readFile } from "node:fs/promises";
import {
  type Build,
  BuildFailureReason,
  BuildStatus,
  type Client,
  type Deployment,
  type DeploymentProgress,
  DeploymentState,
  type Host,
} from "@slipway/sdk";
import type { LocalFleet } from "../local-fleet/fleet.js";
import { FleetError } from "../local-fleet/fleet-error.js";
import type { Display } from "./display.js";
import { type DeployFigures, deployFigures } from "./deploy-figures.js";
import { progressLines, stepLine } from "./progress-lines.js";
import { bar, bytes, duration, shortSha } from "./render.js";

/** How long one step may take before the demo says that it hangs. */
const STEP_TIMEOUT_MS = 120_000;

/** Times in milliseconds. */
export interface BuildTimes {
  leased: number;
  build: number;
  replicate: number;
}

export interface Release {
  fleet: LocalFleet;
  /** Of whoever builds and deploys. */
  client: Client;
  display: Display;
}

/** Builds a commit and waits until it may be deployed. @throws FleetError */
export async function buildCommit(
  { fleet, client, display }: Release,
  application: string,
  commitSha: string,
): Promise<{ build: Build; times: BuildTimes }> {
  const activity = display.activity("build");
  const deadline = stepSignal(fleet, `building ${shortSha(commitSha)}`);
  const { signal } = deadline;
  const lines: string[] = [];
  let build: Build | undefined;
  try {
    const submitted = await client.builds.submit({ application, commitSha }, { signal });
    const { id } = submitted.build;
    for await (const event of client.builds.watch(id, {
      logs: true,
      untilDeployable: true,
      signal,
    })) {
      if (event.type === "build") build = event.build;
      else lines.push(event.line.text);
      if (build !== undefined) activity.update(stateOf(build), lines.at(-1) ?? "");
    }
  } catch (error) {
    activity.failed();
    throw error;
  } finally {
    deadline.clear();
  }
  if (build?.status !== BuildStatus.SUCCEEDED || build.artifact === undefined) {
    activity.failed();
    const { reason, message } = build?.failure ?? { reason: 0, message: "it has no end state" };
    const what = `the build failed (${BuildFailureReason[reason]}): ${message}`;
    const log = { name: "build log", tail: lines.slice(-15).join("\n") };
    throw new FleetError(what, [log, ...(await fleet.logTails([build?.builderId ?? ""]))]);
  }
  const { sizeBytes, chunkCount } = build.artifact;
  const times = timesOf(build);
  activity.done(
    `${bytes(sizeBytes)} in ${chunkCount} chunks by ${build.builderId}, ` +
      `in ${build.replications.length} regions ${duration(times.replicate)} later`,
  );
  return { build, times };
}

/** Checks what the builder signed of a build, by the fleet's key alone. @throws SlipwayError */
export async function verifyOrigin(
  { fleet, client, display }: Release,
  { id, commitSha }: Build,
  repository: string,
): Promise<void> {
  const activity = display.activity("verify");
  try {
    const membershipPublicKeys = [await readFile(fleet.membershipPublicKeyFile, "utf8")];
    const expected = { membershipPublicKeys, repository, commitSha };
    const { provenance } = await client.builds.verify(id, { ...expected, signal: fleet.broken });
    const { builderId, keyId } = provenance;
    activity.done(`${builderId} signed with key ${keyId} that it is of ${shortSha(commitSha)}`);
  } catch (error) {
    activity.failed();
    throw error;
  }
}

/**
 * Follows a deployment, made by `request`, to its end; each step on the way becomes a line.
 * @throws FleetError
 */
export async function follow(
  { fleet, client, display }: Release,
  label: string,
  request: (signal: AbortSignal) => Promise<Deployment>,
): Promise<DeployFigures> {
  let activity = display.activity(label);
  const deadline = stepSignal(fleet, label);
  const { signal } = deadline;
  const started = Date.now();
  try {
    const deployment = await request(signal);
    let last: DeploymentProgress | undefined;
    for await (const progress of client.deployments.watch(deployment.id, { signal })) {
      if (last !== undefined && progress.deployment.step > last.deployment.step) {
        activity.done(stepLine(progress, last.deployment.step));
        activity = display.activity(label);
      }
      last = progress;
      activity.update(...progressLines(progress));
    }
    if (last?.deployment.state !== DeploymentState.SUCCEEDED) throw await failure(fleet, last);
    const hosts: Host[] = [];
    for await (const host of client.fleet.hosts(
      { application: deployment.application },
      { signal },
    )) {
      hosts.push(host);
    }
    const ids = fleet.hosts.map(({ id }) => id);
    const figures = deployFigures(hosts, ids, deployment, started);
    activity.done(`${fleet.hosts.length} hosts in ${fleet.regions.length} regions run it`);
    return figures;
  } catch (error) {
    activity.failed();
    throw error;
  } finally {
    deadline.clear();
  }
}

function stateOf(build: Build): string {
  if (build.status === BuildStatus.QUEUED) return "queued";
  if (build.status === BuildStatus.RUNNING) {
    return `on ${build.builderId}${build.attempt > 1 ? `, attempt ${build.attempt}` : ""}`;
  }
  const copied = build.replications.map(
    ({ region, bytesCopied, sizeBytes }) =>
      `${region} ${bar(sizeBytes === 0 ? 0 : bytesCopied / sizeBytes, 10)}`,
  );
  return `replicating  ${copied.join("  ")}`;
}

function timesOf({ createTime, startTime, finishTime, replications }: Build): BuildTimes {
  const [created, started, finished] = [createTime, startTime, finishTime].map(
    (time) => time?.getTime() ?? Number.NaN,
  ) as [number, number, number];
  const replicated = replications.map(({ updateTime }) => updateTime?.getTime() ?? finished);
  return {
    leased: started - created,
    build: finished - started,
    replicate: Math.max(0, Math.max(...replicated) - finished),
  };
}

async function failure(
  fleet: LocalFleet,
  progress: DeploymentProgress | undefined,
): Promise<FleetError> {
  const samples = progress?.regions.flatMap(({ status }) => status?.failures ?? []) ?? [];
  const hosts = samples.map(({ hostId }) => hostId).slice(0, 2);
  const said = progress?.deployment.failure?.message ?? "";
  const first = samples[0]?.failure?.message;
  const state = DeploymentState[progress?.deployment.state ?? 0];
  const what = [`the deployment ended ${state}`, said, first].filter((word) => word).join(": ");
  return new FleetError(what, await fleet.logTails(hosts));
}

interface Deadline {
  signal: AbortSignal;
  clear(): void;
}

/** Aborts when the fleet breaks, or the step takes too long. */
function stepSignal(fleet: LocalFleet, step: string): Deadline {
  const controller = new AbortController();
  const broke = (): void => controller.abort(fleet.broken.reason);
  if (fleet.broken.aborted) broke();
  fleet.broken.addEventListener("abort", broke);
  const late = (): void =>
    controller.abort(new Error(`${step} took longer than ${STEP_TIMEOUT_MS / 1000} s`));
  const timer = setTimeout(late, STEP_TIMEOUT_MS);
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      fleet.broken.removeEventListener("abort", broke);
    },
  };
}
