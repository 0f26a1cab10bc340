import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import type { FleetHost } from "../local-fleet/fleet.js";
import { dataFolder } from "../local-fleet/files.js";

/** Where a host's agent keeps an application. */
export function applicationFolder(dir: string, host: FleetHost, application: string): string {
  return path.join(dataFolder(dir, host.id), "apps", application);
}

/** The file as JSON; undefined if it is not there. */
export async function readJsonIfThere(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Names in a folder; none if it is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
