/** What nats-server is shown. */
export interface Credentials {
  jwt: string;
  /** Of the user's NATS key. */
  seed: string;
}

/** A file of credentials cannot be used. */
export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
}

/** The two parts of a file of credentials, as nsc and nats-config write it. @throws CredentialsError */
export function parseCredentials(file: string, text: string): Credentials {
  const part = (name: string): string | undefined =>
    new RegExp(`^-+BEGIN ${name}-+\\s+(\\S+)\\s+-+END ${name}-+\\s*$`, "m").exec(text)?.[1];
  const jwt = part("NATS USER JWT");
  const seed = part("USER NKEY SEED");
  if (jwt === undefined || seed === undefined || !/^SU[A-Z2-7]{56}$/.test(seed)) {
    throw new CredentialsError(
      `${file} holds no NATS credentials: a user's JWT and the seed of its key`,
    );
  }
  return { jwt, seed };
}
