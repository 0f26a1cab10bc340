import { createHmac } from "node:crypto";

const TIMEOUT_MS = 10_000;
const MAX_FAILURE_CHARACTERS = 500;

/**
 * The value of the header `slipway-signature`: a time in seconds since 1970, and an HMAC of it and
 * the body by which a receiver knows that it was us who said it, and when.
 */
function signBody(secret: string, unixSeconds: number, body: string): string {
  const mac = createHmac("sha256", secret).update(`${unixSeconds}.${body}`).digest("hex");
  return `t=${unixSeconds},v1=${mac}`;
}

/** Sends a body once. Answers why it was not taken; undefined if it was. */
export async function post(
  { url, body }: { url: string; body: string },
  { secret, now, signal }: { secret: string; now: number; signal: AbortSignal },
): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        "slipway-signature": signBody(secret, Math.floor(now / 1_000), body),
        "user-agent": "slipway-coordinator",
      },
      // A redirect would take what we say, and our signature, to somebody whom nobody named.
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    // Whatever it says is of no interest, however long it is.
    await response.body?.cancel();
    return response.ok ? undefined : `answered ${response.status}`;
  } catch (error) {
    return reasonOf(error).slice(0, MAX_FAILURE_CHARACTERS);
  }
}

/** Fetch hides the reason behind "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${TIMEOUT_MS / 1_000} s`;
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const { code } = cause as NodeJS.ErrnoException;
  return cause.message === "" ? (code ?? error.message) : cause.message;
}
