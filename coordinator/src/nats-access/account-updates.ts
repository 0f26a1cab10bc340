import { type Account, decode, encodeAccount } from "@nats-io/jwt";
import { connect, type Authenticator, type NatsConnection } from "nats";
import { bytes } from "./keys.js";
import { SYSTEM_INBOX } from "./permissions.js";

const TIMEOUT_MS = 5_000;

/** An account as a server has it. */
export interface KnownAccount {
  name: string;
  publicKey: string;
  claims: Partial<Account>;
}

/** A server does not take an account, or does not know it. */
export class AccountError extends Error {
  override readonly name = "AccountError";
}

/** Connects to a server's system account, does it, and closes. */
export async function withSystem<T>(
  servers: { urls: readonly string[]; credentials: Authenticator; caFile?: string | undefined },
  work: (connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const { urls, credentials, caFile } = servers;
  const connection = await connect({
    servers: [...urls],
    name: "slipway-coordinator, of accounts",
    inboxPrefix: SYSTEM_INBOX,
    authenticator: credentials,
    ...(caFile === undefined ? {} : { tls: { caFile } }),
    reconnect: false,
    timeout: TIMEOUT_MS,
  });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

/** @throws AccountError if the server has no such account, NatsError if it is away */
export async function lookUpAccount(
  connection: NatsConnection,
  publicKey: string,
): Promise<KnownAccount> {
  const subject = `$SYS.REQ.ACCOUNT.${publicKey}.CLAIMS.LOOKUP`;
  let jwt: string;
  try {
    jwt = (await connection.request(subject, undefined, { timeout: TIMEOUT_MS })).string();
  } catch (error) {
    // That is how a server says that it has none.
    if ((error as { code?: unknown }).code !== "TIMEOUT") throw error;
    throw new AccountError(`${connection.getServer()} knows no account ${publicKey}`, {
      cause: error,
    });
  }
  const { name, nats } = decode<Account>(jwt);
  return { name, publicKey, claims: nats };
}

/**
 * Signs the account anew and gives it to the servers, which close connections of users that are in
 * it no more. @throws AccountError if they do not take it, NatsError if they are away
 */
export async function updateAccount(
  connection: NatsConnection,
  { name, publicKey, claims }: KnownAccount,
  operatorKey: string,
): Promise<void> {
  const jwt = await encodeAccount(name, publicKey, claims, { signer: bytes(operatorKey) });
  const reply = await connection.request("$SYS.REQ.CLAIMS.UPDATE", jwt, { timeout: TIMEOUT_MS });
  const { data, error } = reply.json<{
    data?: { code?: number };
    error?: { description?: string };
  }>();
  if (data?.code === 200) return;
  const reason = error?.description ?? reply.string().slice(0, 300);
  throw new AccountError(`${connection.getServer()} does not take account ${name}: ${reason}`);
}
