import { type ChildProcess, fork } from "node:child_process";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import {
  type AgentRole,
  type FetchProgress,
  createIdentity,
  writeIdentity,
} from "@slipway/agent/swarm";
import { freePort } from "../servers/index.js";
import type { PeerOrder, PeerReport } from "./peer.js";

const MEBIBYTE = 1024 * 1024;
const TIMEOUT_MS = 120_000;
const DAY_MS = 86_400_000;

export interface ShareOptions {
  /** Where everything goes. */
  dir: string;
  /** Run with the argument "peer" it is a peer. */
  program: string;
  /** Default: 64 MiB of random bytes. */
  file: string | undefined;
  print: (line: string) => void;
}

/**
 * Shares a file between three processes, which find each other on loopback: one seeds, two fetch,
 * from it and from each other. Throws unless both have the same bytes in the end.
 */
export async function shareFile({ dir, program, file, print }: ShareOptions): Promise<void> {
  const source = file ?? (await randomFile(path.join(dir, "file")));
  const fleet = generateKeyPairSync("ed25519");
  const listen = { host: "127.0.0.1", port: await freePort() };
  const children: ChildProcess[] = [];
  const start = async (
    id: string,
    role: AgentRole,
    task: PeerOrder["task"],
    port?: number,
  ): Promise<ChildProcess> => {
    const identityFile = path.join(dir, `${id}.json`);
    const expireTime = new Date(Date.now() + DAY_MS);
    const membershipKey = fleet.privateKey;
    const identity = createIdentity({ id, region: "local", role, membershipKey, expireTime });
    await writeIdentity(identityFile, identity);
    const order: PeerOrder = {
      identityFile,
      membershipPublicKey: fleet.publicKey.export({ type: "spki", format: "pem" }).toString(),
      listen: { host: listen.host, port: port ?? (await freePort()) },
      bootstrap: [listen],
      task,
    };
    const child = fork(program, ["peer"]);
    children.push(child);
    child.send(order);
    return child;
  };
  try {
    const seeder = await start("a", "region", { kind: "seed", file: source }, listen.port);
    const digest = await report(seeder, (said) =>
      said.kind === "seeded" ? said.digest : undefined,
    );
    print(`a seeds ${source} as ${digest}`);
    const expected = await hashOf(source);
    await Promise.all(
      ["b", "c"].map(async (id, index, ids) => {
        const to = path.join(dir, `${id}.copy`);
        const store = path.join(dir, `${id}.store`);
        await mkdir(store);
        const child = await start(id, "host", { kind: "fetch", digest, dir: store, to });
        const other = ids[1 - index] ?? "";
        await report(child, (said) => {
          if (said.kind === "progress") print(`${id} ${progressText(said.progress, other)}`);
          return said.kind === "fetched" ? true : undefined;
        });
        if ((await hashOf(to)) !== expected) throw new Error(`${id} has other bytes than a`);
        print(`${id} has all of it: sha256 ${expected}`);
      }),
    );
  } finally {
    await Promise.all(children.map(end));
  }
}

/** Waits until a peer's reports lead to something. */
async function report<T>(
  child: ChildProcess,
  use: (said: PeerReport) => T | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("it takes too long")), TIMEOUT_MS);
    child.on("message", (said: PeerReport) => {
      const result = use(said);
      if (result === undefined) return;
      clearTimeout(late);
      resolve(result);
    });
    child.once("exit", (code, signal) => {
      clearTimeout(late);
      reject(new Error(`a peer ended: ${signal ?? code}`));
    });
  });
}

/** A peer ends when its parent lets go of it. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const killer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  if (child.connected) child.disconnect();
  await ended;
  clearTimeout(killer);
}

function progressText(
  { bytesDone, total, fromSeeders, fromPeers }: FetchProgress,
  other: string,
): string {
  if (total === 0) return "looks for somebody who has it";
  const percent = Math.floor((bytesDone / total) * 100);
  const sizes = [fromSeeders, fromPeers].map((bytes) => (bytes / MEBIBYTE).toFixed(1));
  return `${percent} %: ${sizes[0]} MiB from a, ${sizes[1]} MiB from ${other}`;
}

async function randomFile(file: string): Promise<string> {
  const handle = await open(file, "wx");
  try {
    for (let count = 0; count < 64; count++) await handle.write(randomBytes(MEBIBYTE));
  } finally {
    await handle.close();
  }
  return file;
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
