import { createHash } from "node:crypto";
import { get, type IncomingMessage } from "node:http";
import type { FleetHost } from "../local-fleet/fleet.js";

const TIMEOUT_MS = 10_000;

/** What a host's service says. */
export interface Served {
  commit: string;
  /** SHA-256 of each asset, in hexadecimal, by name. */
  assets: Record<string, string>;
}

/** What a host serves that it should not, in words; undefined if all is well. */
export type Fault = { host: string; fault: string };

/**
 * Asks every host's service over HTTP which commit it serves, and for one asset whole.
 * @returns the hosts that do not answer with the commit, or whose asset is not as it says.
 */
export async function askHosts(
  hosts: readonly FleetHost[],
  commit: string,
  asset: string,
  signal: AbortSignal,
): Promise<Fault[]> {
  const faults = await Promise.all(
    hosts.map(async ({ id, url }) => {
      const fault = await faultOf(url, commit, asset, signal);
      return fault === undefined ? [] : [{ host: id, fault }];
    }),
  );
  return faults.flat();
}

/** Which commit the service at this address serves. @throws Error if it does not answer so. */
export async function askVersion(url: string, signal: AbortSignal): Promise<Served> {
  const chunks: Buffer[] = [];
  for await (const chunk of await request(`${url}/version`, signal)) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Served;
}

async function faultOf(
  url: string,
  commit: string,
  asset: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const served = await askVersion(url, signal);
    if (served.commit !== commit) return `serves ${served.commit}`;
    const hash = createHash("sha256");
    for await (const chunk of await request(`${url}/assets/${asset}.bin`, signal)) {
      hash.update(chunk as Buffer);
    }
    if (hash.digest("hex") !== served.assets[asset]) return `serves a broken ${asset}`;
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return (error as Error).message;
  }
}

/** On a connection of its own, so that no old process's is used again. */
function request(url: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = get(url, { agent: false, timeout: TIMEOUT_MS, signal }, (response) => {
      if (response.statusCode === 200) {
        resolve(response);
      } else {
        response.resume();
        reject(new Error(`${url} answers ${response.statusCode}`));
      }
    });
    sent.once("timeout", () => sent.destroy(new Error(`${url} does not answer`)));
    sent.once("error", reject);
  });
}
