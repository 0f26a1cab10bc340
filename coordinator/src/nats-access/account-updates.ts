import { type Account, type ClaimsData, decode, encodeAccount } from "@nats-io/jwt";
import { connect } from "@slipway/proto/nats";
import type { Authenticator, NatsConnection } from "nats";
import { asUntrusted } from "../nats.js";
import { asNatsAway } from "../nats-away.js";
import { bytes, publicKeyOf } from "./keys.js";
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
  }).catch((error: unknown) => {
    throw asNatsAway(asUntrusted(error, servers), urls);
  });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

/**
 * What the server has of an account. Whoever has taken the server over may answer anything: only what
 * the operator's key has signed is ever to be signed again.
 * @throws AccountError if the server has no such account, NatsError if it is away
 */
export async function lookUpAccount(
  connection: Pick<NatsConnection, "request" | "getServer">,
  publicKey: string,
  operatorKey: string,
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
  const { name, nats, iss, sub } = read(jwt, `${connection.getServer()}'s account ${publicKey}`);
  if (sub === publicKey && iss === publicKeyOf(operatorKey)) {
    return { name, publicKey, claims: nats };
  }
  throw new AccountError(
    `what ${connection.getServer()} has as account ${publicKey} is ${sub}, signed by ${iss}, and not ` +
      "by the operator's key of this coordinator: give it the key and the servers the accounts that " +
      "nats-config wrote together",
  );
}

/** Checks that it is signed by whom it names. */
function read(jwt: string, what: string): ClaimsData<Account> {
  try {
    return decode<Account>(jwt);
  } catch (error) {
    throw new AccountError(`${what} is none that somebody has signed`, { cause: error });
  }
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
