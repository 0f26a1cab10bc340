import path from "node:path";
import { Goal, SignedGoal } from "@slipway/proto";
import { readJsonIfThere } from "./host-folders.js";

/** The goal that a host has obeyed last of an application. */
export interface ObeyedGoal {
  deploymentId: string;
  /** It runs what the goal says, or begins to. */
  runs: boolean;
}

interface ReleaseRecord {
  release: { artifactDigest: string };
}

interface StateFile {
  signedGoal?: string;
  active?: ReleaseRecord;
  activating?: ReleaseRecord;
}

/**
 * From the file that the host's agent keeps, which it replaces at once.
 * @param folder - The application's.
 * @returns undefined if it says of no release, or of one that was there before the goal.
 */
export async function readObeyed(folder: string): Promise<ObeyedGoal | undefined> {
  const state = (await readJsonIfThere(path.join(folder, "state.json"))) as StateFile | undefined;
  if (state?.signedGoal === undefined) return undefined;
  const { payload } = SignedGoal.decode(Buffer.from(state.signedGoal, "base64"));
  const { deploymentId, run, previous } = Goal.decode(payload);
  // A host that runs nothing runs the previous release meanwhile, told to switch or not.
  if (run === undefined || run.artifactDigest === previous?.artifactDigest) return undefined;
  const records = [state.active, state.activating];
  const runs = records.some((record) => record?.release.artifactDigest === run.artifactDigest);
  return { deploymentId, runs };
}
