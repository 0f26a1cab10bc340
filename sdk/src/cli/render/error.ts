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
  const fields = error.violations.map(
    ({ field, description }) => `  ${plain(field)}: ${plain(description)}\n`,
  );
  const advice = hint(error);
  return (
    `${label} ${plainLines(error.message)}\n${fields.join("")}` +
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

function hint({ code, reason }: SlipwayError): string | undefined {
  if (reason === "COORDINATOR_UNREACHABLE") {
    return "Is it running there? Say another address with --coordinator or SLIPWAY_COORDINATOR.";
  }
  if (code === "DEADLINE_EXCEEDED") return "Allow more time with --timeout, such as --timeout 1m.";
  if (code === "UNAUTHENTICATED") return "Give a token in SLIPWAY_TOKEN.";
  return undefined;
}
