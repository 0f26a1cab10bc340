import { readFileSync } from "node:fs";
import { errorCode } from "../store/errors.js";
import type { Logger } from "../log.js";

const MAX_CHARACTERS = 4_096;
/** For so long what was read is taken for what is there. */
const HOLDS_MS = 5_000;

/** A token in a file that may be replaced while the agent runs. */
export class TokenFile {
  readonly #file: string;
  readonly #log: Logger;
  #text: string;
  #readAt = performance.now();

  private constructor(file: string, text: string, log: Logger) {
    this.#file = file;
    this.#text = text;
    this.#log = log;
  }

  /** @throws Error with a one-line reason if there is no token in it. */
  static open(file: string, log: Logger): TokenFile {
    return new TokenFile(file, readToken(file), log);
  }

  /**
   * The newest token; the last one that was read if the file can't be. Read at once and not in turns:
   * a call that is cancelled before it has begun would never end.
   */
  read(): string {
    if (performance.now() - this.#readAt < HOLDS_MS) return this.#text;
    try {
      const text = readToken(this.#file);
      if (text !== this.#text) this.#log.info({ file: this.#file }, "new token");
      this.#text = text;
    } catch (error) {
      this.#log.warn({ err: error }, "going on with the token from before");
    }
    this.#readAt = performance.now();
    return this.#text;
  }
}

function readToken(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new Error(`the token ${file} cannot be read: ${errorCode(error)}`, { cause: error });
  }
  if (text.length > MAX_CHARACTERS || !/^[\x21-\x7e]+$/.test(text)) {
    throw new Error(`${file} holds no token`);
  }
  return text;
}
