import { SlipwayError } from "../../errors.js";
import { plain, plainLines } from "../text.js";
import { paint, type Look } from "./style.js";

/** What was wrong, where, and what to do. */
export function errorText(error: unknown, look: Look): string {
  const label = paint(look, "red", "error:");
  if (!(error instanceof SlipwayError)) {
    const message = error instanceof Error ? error.message : String(error);
    return `${label} ${plainLines(message)}\n`;
  }
  const { violations } = error;
  const fields = violations.map(({ field, description }) => {
    return `  ${plain(field)}: ${plain(description)}\n`;
  });
  // A message that only strings its violations together is not said twice.
  const repeats =
    violations.length > 0 &&
    violations.every(({ description }) => error.message.includes(description));
  const message = repeats ? "the coordinator refused the request" : plainLines(error.message);
  const advice = hint(error);
  return (
    `${label} ${message}\n${fields.join("")}` +
    (advice === undefined ? "" : `${paint(look, "dim", advice)}\n`)
  );
}

/** The same for programs. */
export function errorJson(error: unknown): unknown {
  if (!(error instanceof SlipwayError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { error: { code: "CLIENT", reason: "", message, violations: [], retryable: false } };
  }
  const { code, reason, message, violations, retryable } = error;
  return { error: { code, reason, message, violations, retryable } };
}

function hint({ code, reason, message }: SlipwayError): string | undefined {
  if (reason === "COORDINATOR_UNREACHABLE") {
    // OpenSSL's words for a chain that ends elsewhere, and Node's for a name that is not in it.
    if (/certificate|altnames/i.test(message)) {
      return "It answers, and is not trusted: say its authority with --ca or SLIPWAY_CA, and it by a name that is in its certificate.";
    }
    return "Is it running there? Say another address with --coordinator or SLIPWAY_COORDINATOR.";
  }
  if (reason === "FROZEN") {
    return "See it with: slipway freeze list. In an emergency: --override-freeze --reason WHY.";
  }
  if (code === "DEADLINE_EXCEEDED") return "Allow more time with --timeout, such as --timeout 1m.";
  if (code === "UNAUTHENTICATED") return "Give a token with --token-file, or in SLIPWAY_TOKEN.";
  return undefined;
}
