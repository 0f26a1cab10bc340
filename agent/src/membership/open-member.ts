import { rm } from "node:fs/promises";
import { insecureChannel, type CoordinatorChannel } from "../coordinator/channel.js";
import { channelOptions } from "../coordinator/failover-channel.js";
import { GRPC_MAX_MESSAGE_BYTES, MembershipServiceClient } from "@slipway/proto";
import type { Logger } from "../log.js";
import { errorCode } from "../store/errors.js";
import type { Identity, MemberRole } from "../swarm/identity.js";
import { readMemberIdentity } from "../swarm/identity-file.js";
import type { Trust } from "../trust/open-trust.js";
import { joinFleet, pendingFile } from "./join-fleet.js";
import { Renewer, type RenewalStats } from "./renewer.js";

const CHANNEL = {
  "grpc.max_receive_message_length": GRPC_MAX_MESSAGE_BYTES,
  "grpc.initial_reconnect_backoff_ms": 250,
  "grpc.max_reconnect_backoff_ms": 5_000,
};

/** This agent as a member of the fleet. */
export interface Member<R extends MemberRole> {
  /** With the newest certificate. */
  readonly identity: Identity<R>;
  readonly stats: Readonly<RenewalStats>;
  /** To be called before start(). */
  onRenewed(listener: (identity: Identity<R>) => void): void;
  /** Begins to renew, unless the identity was made by hand, or there is no coordinator. */
  start(): void;
  /** May be called twice. */
  stop(): Promise<void>;
}

export interface OpenMemberOptions<R extends MemberRole> {
  id: string;
  /** Empty for a builder. */
  region: string;
  role: R;
  identityFile: string;
  /** What lets the agent in if it has no identity yet, or coordinators have lost it. */
  joinTokenFile?: string | undefined;
  /** HOST:PORT of coordinators, with commas between; needed to join and to renew. */
  coordinator?: string | undefined;
  /** Default: no TLS, and no token. */
  channel?: CoordinatorChannel | undefined;
  /** Certificates that none of its keys signed are not taken. Undefined: nobody checks them. */
  trust: Trust | undefined;
  log: Logger;
  /** Gives up joining. */
  signal?: AbortSignal | undefined;
}

/**
 * Reads the agent's identity, or joins the fleet for one if there is none and a token says it may.
 * @throws IdentityError, JoinError, or what reading throws.
 */
export async function openMember<R extends MemberRole>(
  options: OpenMemberOptions<R>,
): Promise<Member<R>> {
  const { coordinator } = options;
  const { credentials, interceptors } = options.channel ?? insecureChannel();
  const client =
    coordinator === undefined
      ? undefined
      : new MembershipServiceClient(
          coordinator,
          credentials,
          channelOptions(coordinator, credentials, { ...CHANNEL, interceptors }),
        );
  try {
    let identity = await readOrJoin(options, client);
    const listeners: ((renewed: Identity<R>) => void)[] = [];
    const onRenewed = (renewed: Identity<R>): void => {
      identity = renewed;
      for (const listener of listeners) listener(renewed);
    };
    const renewer =
      client === undefined || identity.issueTime === undefined
        ? undefined
        : new Renewer({ ...options, client, identity, onRenewed });
    return {
      get identity() {
        return identity;
      },
      stats: renewer?.stats ?? { renewed: 0, failed: 0 },
      onRenewed: (listener) => void listeners.push(listener),
      start: () => renewer?.start(),
      stop: async () => {
        await renewer?.stop();
        client?.close();
      },
    };
  } catch (error) {
    client?.close();
    throw error;
  }
}

async function readOrJoin<R extends MemberRole>(
  options: OpenMemberOptions<R>,
  client: MembershipServiceClient | undefined,
): Promise<Identity<R>> {
  const { joinTokenFile, identityFile, signal = new AbortController().signal } = options;
  try {
    const identity = checkIdentity(await readMemberIdentity(identityFile), options);
    // Of an agent that was killed when it had just joined.
    if (identity.issueTime !== undefined) await rm(pendingFile(identityFile), { force: true });
    return identity;
  } catch (error) {
    if (errorCode(error) !== "ENOENT" || joinTokenFile === undefined) throw error;
    if (client === undefined) {
      throw new Error("to join the fleet an agent needs --coordinator", { cause: error });
    }
    return joinFleet({ ...options, client, joinTokenFile, signal });
  }
}

function checkIdentity<R extends MemberRole>(
  identity: Identity<MemberRole>,
  { id, region, role }: Pick<OpenMemberOptions<R>, "id" | "region" | "role">,
): Identity<R> {
  if (identity.id === id && identity.region === region && isOfRole(identity, role)) return identity;
  throw new Error(
    `the identity is for ${describe(identity)}, not for ${describe({ id, region, role })}`,
  );
}

function isOfRole<R extends MemberRole>(
  identity: Identity<MemberRole>,
  role: R,
): identity is Identity<R> {
  return identity.role === role;
}

function describe({ id, region, role }: { id: string; region: string; role: MemberRole }): string {
  if (role === "builder") return `builder ${id}`;
  return `${role === "region" ? "region agent" : role} ${id} of region ${region}`;
}
