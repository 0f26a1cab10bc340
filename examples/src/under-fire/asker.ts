import { SlipwayError } from "@slipway/sdk";
import { persistently } from "./persistence.js";

/** Makes calls until they are answered, and remembers what should not have been answered. */
export class Asker {
  /** Answers that no caller should get, in words. */
  readonly surprises: string[] = [];
  /** How often somebody asked for what was not to be had: any more, yet, or just then. */
  refusals = 0;

  /** Undefined if it was refused. @throws the signal's reason */
  async ask<T>(what: string, call: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    try {
      const outcome = await persistently(call, signal);
      if ("answer" in outcome) return outcome.answer;
      this.refusals++;
      return undefined;
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      this.surprises.push(`${what}: ${error.code} ${error.message}`);
      return undefined;
    }
  }
}
