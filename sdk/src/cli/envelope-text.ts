import { SlipwayError } from "../errors.js";

/**
 * An envelope as one line of plain ASCII, which a terminal and other tools take; what is signed of it
 * is not touched. @throws SlipwayError INTERNAL if it is no JSON.
 */
export function envelopeText(envelope: string): string {
  try {
    return JSON.stringify(JSON.parse(envelope)).replace(/[^\x20-\x7e]/g, escaped);
  } catch (cause) {
    const message = "the coordinator's answer to GetBuildProvenance has no envelope in JSON";
    throw new SlipwayError({ code: "INTERNAL", reason: "BAD_ANSWER", message, cause });
  }
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
