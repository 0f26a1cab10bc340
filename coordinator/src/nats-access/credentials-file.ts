import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { endOfJwt } from "@slipway/proto/files";
import { jwtAuthenticator, type Authenticator } from "nats";
import { CredentialsError, parseCredentials } from "./credentials.js";

/**
 * Reads a user's credentials; every connection that is made reads them again, so that they may be
 * renewed. What cannot be read then is as it was before.
 * @throws CredentialsError
 */
export async function readCredentials(file: string): Promise<Authenticator> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new CredentialsError(`the NATS credentials ${file} cannot be read: ${reason}`, {
      cause: error,
    });
  }
  let last = parseCredentials(file, text);
  return (nonce) => {
    try {
      last = parseCredentials(file, readFileSync(file, "utf8"));
    } catch {
      // Somebody is writing it, or took it away: if the last ones hold no more, the server says so.
    }
    return jwtAuthenticator(last.jwt, new TextEncoder().encode(last.seed))(nonce);
  };
}

/** When the user in a file ends; undefined if it does not, or cannot be read now. */
export function endOfCredentials(file: string): Date | undefined {
  try {
    return endOfJwt(parseCredentials(file, readFileSync(file, "utf8")).jwt);
  } catch {
    return undefined;
  }
}
