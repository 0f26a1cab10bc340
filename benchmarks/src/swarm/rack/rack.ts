import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { makeArtifact } from "../artifact.js";
import type { Course } from "./contender.js";
import { OWN_PREFIX, removeLeftOvers } from "./left-overs.js";
import { RackNetwork, needRack } from "./network.js";
import type { RackOptions } from "./rack-options.js";

/**
 * Builds a rack with an artifact, and takes it down again whatever happens. `spare` links with the
 * rate come after the hosts'.
 */
export async function onRack<T>(
  options: RackOptions & { spare?: number },
  use: (course: Course) => Promise<T>,
): Promise<T> {
  const { hosts, bitsPerSecond, sizeBytes, warmBytes, signal, spare = 0 } = options;
  await needRack();
  const scratch = options.dir ?? (await memory());
  await removeLeftOvers(scratch);
  const dir = await mkdtemp(path.join(scratch, OWN_PREFIX));
  try {
    const network = await RackNetwork.create({
      hosts: 1 + hosts + spare,
      bitsPerSecond,
      services: 1,
    });
    try {
      const artifact = await makeArtifact(dir, sizeBytes);
      const warm = warmBytes === 0 ? undefined : await makeArtifact(dir, warmBytes, "warm");
      const service = 1 + hosts + spare;
      return await use({
        network,
        hosts,
        service,
        artifact,
        warm,
        dir: path.join(dir, "run"),
        signal,
      });
    } finally {
      await network.remove();
    }
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/**
 * Memory, where there is a file system of it: hosts have a disk each, and the one disk of this
 * machine would be the bottleneck of them all.
 */
async function memory(): Promise<string> {
  try {
    await access("/dev/shm", constants.W_OK);
    return "/dev/shm";
  } catch {
    return tmpdir();
  }
}
