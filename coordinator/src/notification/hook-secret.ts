import { readNamedFile } from "../named-file.js";

const MIN_BYTES = 16;
const MAX_BYTES = 4_096;

/**
 * Reads the secret that signs notifications, without the line end behind it; undefined if no file is
 * named. @throws Error with a one-line reason.
 */
export async function readHookSecret(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const text = await readNamedFile("hook secret", file);
  const secret = text.replace(/\r?\n$/, "");
  const bytes = Buffer.byteLength(secret);
  if (bytes < MIN_BYTES || bytes > MAX_BYTES) {
    throw new Error(`the hook secret ${file} must have ${MIN_BYTES} to ${MAX_BYTES} bytes`);
  }
  return secret;
}
