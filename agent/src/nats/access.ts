import { readFileSync } from "node:fs";

/** What nats-server is shown. */
export interface NatsUser {
  jwt: string;
  /** Of the user's key. */
  seed: string;
}

/** How an agent comes into a NATS server. */
export interface NatsAccess {
  /** The user as it is now, asked for before each connection; undefined shows none. */
  user: () => NatsUser | undefined;
  /** PEM, of who signed the servers' certificates; without TLS the connection fails then. */
  caFile?: string | undefined;
  /** Below which the agent's inboxes are; `name` is the user's, if one is shown. */
  inbox: (name: string | undefined) => string;
}

/** What a coordinator has granted a member. */
interface MemberUser {
  natsSeed?: string | undefined;
  natsJwt?: string | undefined;
}

/** Credentials cannot be used. */
export class NatsCredentialsError extends Error {
  override readonly name = "NatsCredentialsError";
}

/**
 * The user in the file if one is named, else what the member has been granted by then.
 * @throws NatsCredentialsError
 */
export function userOf(
  file: string | undefined,
  member: () => MemberUser,
): () => NatsUser | undefined {
  if (file !== undefined) return userInFile(file);
  return () => {
    const { natsSeed: seed, natsJwt: jwt } = member();
    return seed === undefined || jwt === undefined ? undefined : { jwt, seed };
  };
}

/**
 * The user in a file as nsc and nats-config write it, read anew each time that it is asked for, so
 * that it may be renewed. What cannot be read then is as it was before.
 * @throws NatsCredentialsError if it cannot be read at first
 */
function userInFile(file: string): () => NatsUser {
  let last = read(file);
  return () => {
    try {
      last = read(file);
    } catch {
      // Somebody is writing it, or took it away: if the last one holds no more, the server says so.
    }
    return last;
  };
}

/** The name in a user's JWT, which its permissions are made of. @throws NatsCredentialsError */
export function nameOf({ jwt }: NatsUser): string {
  try {
    const payload = Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString();
    const { name } = JSON.parse(payload) as { name?: unknown };
    if (typeof name === "string" && name !== "") return name;
  } catch (error) {
    throw new NatsCredentialsError("the NATS user's JWT cannot be read", { cause: error });
  }
  throw new NatsCredentialsError("the NATS user's JWT has no name");
}

function read(file: string): NatsUser {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new NatsCredentialsError(`the NATS credentials ${file} cannot be read: ${reason}`, {
      cause: error,
    });
  }
  const part = (name: string): string | undefined =>
    new RegExp(`^-+BEGIN ${name}-+\\s+(\\S+)\\s+-+END ${name}-+\\s*$`, "m").exec(text)?.[1];
  const jwt = part("NATS USER JWT");
  const seed = part("USER NKEY SEED");
  if (jwt === undefined || seed === undefined) {
    throw new NatsCredentialsError(
      `${file} holds no NATS credentials: a user's JWT and the seed of its key`,
    );
  }
  const user = { jwt, seed };
  nameOf(user);
  return user;
}
