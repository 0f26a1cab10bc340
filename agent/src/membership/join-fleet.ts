import { readFile, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { type JoinResponse, type MembershipServiceClient, unary } from "@slipway/proto";
import { writeAtomically } from "../atomic-file.js";
import { backOffMs } from "../back-off.js";
import type { Logger } from "../log.js";
import { createUserSeed } from "../nats/user-key.js";
import { readIfThere } from "../store/files.js";
import { type Identity, type MemberRole, noiseKeyPair } from "../swarm/identity.js";
import { writeIdentity } from "../swarm/identity-file.js";
import { type Candidate, joinRequest } from "./proofs.js";
import type { Trust } from "../trust/open-trust.js";
import { offerKeySet, takeGrant } from "./take-grant.js";

const RETRY = { baseMs: 500, maxMs: 15_000 };
const CALL_TIMEOUT_MS = 10_000;
/** Whoever started the agent hears of it then, and starts it again. */
const GIVE_UP_MS = 10 * 60_000;
const MAX_TOKEN_BYTES = 4_096;
/** Failures that pass by themselves. */
const PASSING = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.INTERNAL,
  status.UNKNOWN,
  status.CANCELLED,
]);

/** The agent is no member of the fleet, and cannot become one by trying again. */
export class JoinError extends Error {
  override readonly name = "JoinError";
}

export interface JoinFleetOptions<R extends MemberRole> {
  client: MembershipServiceClient;
  id: string;
  region: string;
  role: R;
  /** Holds the join token; read again for each try. */
  joinTokenFile: string;
  /** What is written in the end. */
  identityFile: string;
  /** Checks certificates. Undefined: nobody does. */
  trust: Trust | undefined;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Becomes a member of the fleet: makes keys, has a coordinator certify them, and writes the identity.
 * Until then the keys are in a file beside it, so that an agent that was killed between the two comes
 * back as the same one. @throws JoinError, or the signal's reason.
 */
export async function joinFleet<R extends MemberRole>(
  options: JoinFleetOptions<R>,
): Promise<Identity<R>> {
  const { id, region, role, identityFile, trust, log } = options;
  const candidate = { id, region, role, ...(await keepKeys(pendingFile(identityFile))) };
  const { grant } = await ask(candidate, options);
  offerKeySet(trust, grant);
  const identity = takeGrant<R>(candidate, grant, trust?.keys.memberships);
  await writeIdentity(identityFile, identity);
  await rm(pendingFile(identityFile), { force: true });
  log.info({ id, region, role, expireTime: grant?.expireTime }, "joined the fleet");
  return identity;
}

/** Where an agent that has not joined yet keeps its keys. */
export const pendingFile = (identityFile: string): string => `${identityFile}.joining`;

async function ask(
  candidate: Candidate,
  { client, joinTokenFile, log, signal }: JoinFleetOptions<MemberRole>,
): Promise<JoinResponse> {
  const request = joinRequest(candidate);
  const end = performance.now() + GIVE_UP_MS;
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    const metadata = await joinMetadata(joinTokenFile);
    try {
      return await unary(client, "join", request, { timeoutMs: CALL_TIMEOUT_MS, signal, metadata });
    } catch (error) {
      signal.throwIfAborted();
      const { code, details } = error as ServiceError;
      const why = details || String(error);
      if (!PASSING.has(code)) {
        throw new JoinError(`${candidate.id} cannot join the fleet: ${why}`, { cause: error });
      }
      const retryInMs = backOffMs(attempt, RETRY);
      if (performance.now() + retryInMs > end) {
        throw new JoinError(`${candidate.id} could not join the fleet in 10 min: ${why}`, {
          cause: error,
        });
      }
      log.warn({ err: error, retryInMs }, "cannot join the fleet yet");
      await delay(retryInMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

/** What a call to join comes with. @throws JoinError if there is no token in the file. */
export async function joinMetadata(joinTokenFile: string): Promise<Metadata> {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${await readToken(joinTokenFile)}`);
  return metadata;
}

async function readToken(file: string): Promise<string> {
  let token: string;
  try {
    token = (await readFile(file, "utf8")).trim();
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new JoinError(`the join token ${file} cannot be read: ${reason}`, { cause: error });
  }
  if (token.length === 0 || token.length > MAX_TOKEN_BYTES || !/^[\x21-\x7e]+$/.test(token)) {
    throw new JoinError(`${file} holds no join token`);
  }
  return token;
}

type Keys = Pick<Candidate, "publicKey" | "secretKey" | "natsSeed">;

async function keepKeys(file: string): Promise<Keys> {
  const kept = await readIfThere(file);
  if (kept !== undefined) return parseKeys(file, kept.toString());
  const keys = { ...noiseKeyPair(), natsSeed: createUserSeed() };
  const { secretKey, natsSeed } = keys;
  await writeAtomically(file, JSON.stringify({ secretKey: secretKey.toString("hex"), natsSeed }));
  return keys;
}

function parseKeys(file: string, text: string): Keys {
  try {
    const { secretKey: hex, natsSeed } = JSON.parse(text) as Record<string, unknown>;
    const secretKey = Buffer.from(String(hex), "hex");
    if (secretKey.length === 64 && typeof natsSeed === "string" && natsSeed.startsWith("SU")) {
      return { publicKey: secretKey.subarray(32), secretKey, natsSeed };
    }
  } catch (error) {
    throw new JoinError(`${file} holds no keys: remove it, and others are made`, { cause: error });
  }
  throw new JoinError(`${file} holds no keys: remove it, and others are made`);
}
