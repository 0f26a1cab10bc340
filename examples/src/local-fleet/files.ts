import path from "node:path";

/** What `slipway-coordinator init` makes. */
export const keysFolder = (dir: string): string => path.join(dir, "keys");
export const keyFile = (dir: string, name: string): string => path.join(keysFolder(dir), name);
/** Of its `nats` folder. */
export const natsFile = (dir: string, name: string): string =>
  path.join(keysFolder(dir), "nats", name);
/** Of a region's own nats-server; without a region, of the global one. */
export const natsConfigFile = (dir: string, region?: string): string =>
  natsFile(dir, region === undefined ? "nats-global.conf" : `nats-region-${region}.conf`);
export const natsDataFolder = (dir: string): string => path.join(dir, "nats-data");
export const tokensFolder = (dir: string): string => path.join(dir, "tokens");
/** A token in a file, by who has it. */
export const tokenFile = (dir: string, name: string): string => path.join(tokensFolder(dir), name);
/** Names the token that lets agents of a role into the fleet. */
export const joinToken = (role: "builder" | "region" | "host", region?: string): string =>
  region === undefined ? `join-${role}` : `join-${role}-${region}`;
export const blobFolder = (dir: string, name: string): string => path.join(dir, "blobs", name);
/** Where a process works; without a name, the folder of all of them. */
export const dataFolder = (dir: string, name = ""): string => path.join(dir, "data", name);
/** A member's keys and certificate, made when it joins. */
export const identityFile = (dir: string, name: string): string =>
  path.join(dataFolder(dir, name), "identity.json");

/** How others call this machine, as the servers' certificate does. */
export const SERVER_NAME = "localhost";
