import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readlink } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { blobFolder } from "../local-fleet/files.js";
import type { FleetHost, LocalFleet } from "../local-fleet/fleet.js";
import { processesIn } from "../processes/leftovers.js";
import type { HostFact } from "./facts.js";
import { applicationFolder, namesIn } from "./host-folders.js";
import { labelsOf } from "./targets.js";

/** A release folder's name begins with so many characters of its artifact's digest. */
const DIGEST_PREFIX = 16;

/**
 * Looks at the hosts' own files and processes, without asking their agents.
 * @param without - Hosts that are not looked at.
 */
export async function readHosts(
  fleet: LocalFleet,
  applications: readonly string[],
  without: readonly string[],
): Promise<HostFact[]> {
  const facts: HostFact[] = [];
  for (const host of fleet.hosts) {
    if (without.includes(host.id)) continue;
    for (const application of applications) facts.push(await readHost(fleet, host, application));
  }
  return facts;
}

async function readHost(
  fleet: LocalFleet,
  host: FleetHost,
  application: string,
): Promise<HostFact> {
  const { dir } = fleet;
  const folder = applicationFolder(dir, host, application);
  const labels = labelsOf(fleet.process(host.id));
  const base = { host: host.id, region: host.region, labels, application };
  const all = await processesIn(folder);
  const link = await readlink(path.join(folder, "current")).catch(() => undefined);
  if (link === undefined) {
    return { ...base, digest: undefined, damage: undefined, processes: 0, strays: all.length };
  }
  const release = path.resolve(folder, link);
  const processes = (await processesIn(release)).length;
  const found = await artifactIn(release, blobFolder(dir, "main"));
  return { ...base, ...found, processes, strays: all.length - processes };
}

/** Which artifact of the main blob store the folder's only file is, by all of its bytes. */
async function artifactIn(
  release: string,
  blobs: string,
): Promise<Pick<HostFact, "digest" | "damage">> {
  const prefix = path.basename(release).slice(0, DIGEST_PREFIX);
  const names = await namesIn(path.join(blobs, "blobs"));
  const hex = names.find((name) => name.startsWith(prefix));
  const files = await namesIn(release);
  const [file] = files;
  if (hex === undefined) return { digest: undefined, damage: `${release} is of no artifact` };
  const digest = `sha256:${hex}`;
  if (file === undefined || files.length > 1) {
    return { digest, damage: `${release} holds ${files.join(", ") || "nothing"}` };
  }
  const [own, stored] = await Promise.all([
    hashOf(path.join(release, file)),
    hashOf(path.join(blobs, "blobs", hex)),
  ]);
  return { digest, damage: own === stored ? undefined : `${release} has other bytes` };
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
