import { checkOnce, type CheckKind } from "./health-check.js";
import type { Launch } from "./release-process.js";
import { SecretError } from "./secrets.js";

/**
 * Checks a release that was started; the answer is undefined if it is healthy, else why not. A
 * command has the release's secrets too.
 */
export async function checkRelease(
  launch: Launch,
  kind: Exclude<CheckKind, { kind: "running" }>,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<string | undefined> {
  const { folder, environment, secrets } = launch;
  try {
    const values = kind.kind === "command" ? await secrets.values() : {};
    const context = { folder, environment: { ...environment, ...values }, timeoutMs, signal };
    return await checkOnce(kind, context);
  } catch (error) {
    if (error instanceof SecretError) return error.message;
    throw error;
  }
}
