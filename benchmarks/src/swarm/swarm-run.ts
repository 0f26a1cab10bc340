import { type ChildProcess, fork } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createIdentity, writeIdentity } from "@slipway/agent";
import { freePort } from "@slipway/examples/servers";
import type { PeerConfig, PeerMessage, PeerOrder } from "./peer.js";

const peerScript = fileURLToPath(new URL("peer.js", import.meta.url));

/** A file to spread, and its manifest. */
export interface Artifact {
  file: string;
  manifest: string;
  digest: string;
  sizeBytes: number;
}

type Message<Kind extends PeerMessage["kind"]> = Extract<PeerMessage, { kind: Kind }>;

/** What one run came to. */
export interface SwarmRun {
  hosts: Message<"done">[];
  seeder: Message<"usage">;
}

/** Spreads the artifact from one seeder to hosts, each a process of its own, on loopback. */
export async function runSwarm(options: {
  artifact: Artifact;
  hosts: number;
  encryption: "tls-psk" | "none";
  dir: string;
}): Promise<SwarmRun> {
  const { artifact, hosts, encryption, dir } = options;
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const membershipPublicKey = publicKey.export({ type: "spki", format: "pem" }) as string;
  const seederAddress = { host: "127.0.0.1", port: await freePort() };
  const children: ChildProcess[] = [];

  const start = async (id: string, role: "host" | "region"): Promise<ChildProcess> => {
    const expireTime = new Date(Date.now() + 3_600_000);
    const own = path.join(dir, id);
    await mkdir(own, { recursive: true });
    const identityFile = path.join(own, "identity.json");
    const fields = { id, region: "bench", role, membershipKey: privateKey, expireTime };
    await writeIdentity(identityFile, createIdentity(fields));
    const listen =
      role === "region" ? seederAddress : { host: "127.0.0.1", port: await freePort() };
    const config: PeerConfig = {
      identityFile,
      membershipPublicKey,
      listen,
      bootstrap: [seederAddress],
      encryption,
      digest: artifact.digest,
      dir: own,
      ...(role === "region" ? { seed: { file: artifact.file, manifest: artifact.manifest } } : {}),
    };
    const child = fork(peerScript, [JSON.stringify(config)]);
    children.push(child);
    await next(child, "ready");
    return child;
  };

  try {
    const seeder = await start("seeder", "region");
    const peers = await Promise.all(
      Array.from({ length: hosts }, (_, index) => start(`host-${index}`, "host")),
    );
    const done = Promise.all(peers.map((peer) => next(peer, "done")));
    for (const child of children) order(child, "go");
    const results = await done;
    order(seeder, "usage");
    return { hosts: results, seeder: await next(seeder, "usage") };
  } finally {
    await Promise.all(children.map(end));
  }
}

function order(child: ChildProcess, what: PeerOrder): void {
  child.send(what);
}

function next<Kind extends PeerMessage["kind"]>(
  child: ChildProcess,
  kind: Kind,
): Promise<Message<Kind>> {
  return new Promise((resolve, reject) => {
    const heard = (message: PeerMessage): void => {
      if (message.kind !== kind) return;
      child.off("message", heard);
      child.off("exit", exited);
      resolve(message as Message<Kind>);
    };
    const exited = (code: number | null): void =>
      reject(new Error(`a peer ended with ${code} before it was ${kind}`));
    child.on("message", heard);
    child.once("exit", exited);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.disconnect();
  const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await exited;
  clearTimeout(timer);
}

/** Writes what @slipway/agent/swarm needs to seed a file. */
export async function writeManifest(file: string, manifest: Buffer): Promise<string> {
  const name = `${file}.manifest`;
  await writeFile(name, manifest);
  return name;
}
