import { constants } from "node:fs";
import { open } from "node:fs/promises";
import path from "node:path";
import type { SecretReference } from "@slipway/proto";
import { StartError } from "./release-process.js";
import { runCommand } from "./run-command.js";

const MAX_BYTES = 64 * 1024;
const COMMAND_TIMEOUT_MS = 10_000;
/** A shorter value is in too many texts by chance. */
const MIN_REDACTED = 4;
/** Values that a release was started with, as often as they change. */
const MAX_SEEN = 1_000;

/** A secret cannot be had. Says which and why, and nothing of any value. */
export class SecretError extends StartError {}

/** The secrets of a release, looked up on the host when it starts. Their values are told nobody else. */
export class ReleaseSecrets {
  readonly #references: Readonly<Record<string, SecretReference>>;
  readonly #base: Readonly<Record<string, string>>;
  readonly #commandTimeoutMs: number;
  #values: Readonly<Record<string, string>> | undefined;
  /** Whatever was looked up, the last one last: what runs may have been started with any of it. */
  readonly #seen = new Set<string>();

  /**
   * @param base the environment that releases have on this host.
   * @param commandTimeoutMs of one command. Default 10 s.
   */
  constructor(
    references: Readonly<Record<string, SecretReference>>,
    base: Readonly<Record<string, string>>,
    { commandTimeoutMs = COMMAND_TIMEOUT_MS }: { commandTimeoutMs?: number } = {},
  ) {
    this.#commandTimeoutMs = commandTimeoutMs;
    this.#references = references;
    this.#base = base;
  }

  /** Looks all of them up, and gives the values by name. @throws SecretError */
  async lookUp(): Promise<Readonly<Record<string, string>>> {
    const found = Object.entries(this.#references).map(
      async ([name, reference]) => [name, await this.#lookUp(name, reference)] as const,
    );
    const values = Object.fromEntries(await Promise.all(found));
    for (const value of Object.values(values)) {
      this.#seen.delete(value);
      this.#seen.add(value);
    }
    for (const value of this.#seen) {
      if (this.#seen.size <= MAX_SEEN) break;
      this.#seen.delete(value);
    }
    this.#values = values;
    return values;
  }

  /** Their values when they were last looked up, or now if they never were. @throws SecretError */
  async values(): Promise<Readonly<Record<string, string>>> {
    return this.#values ?? this.lookUp();
  }

  /** A text without the values that were ever looked up; nothing of it where none was. */
  redact(text: string): string {
    if (this.#values === undefined && Object.keys(this.#references).length > 0) {
      return "(not shown: it may hold secrets that this agent has not looked up yet)";
    }
    return [...this.#seen]
      .filter((value) => value.length >= MIN_REDACTED)
      .sort((a, b) => b.length - a.length)
      .reduce((rest, value) => rest.replaceAll(value, "***"), text);
  }

  async #lookUp(name: string, { source }: SecretReference): Promise<string> {
    const value = (await this.#read(name, source)).toString().replace(/\r?\n$/, "");
    if (value.includes("\0")) throw secretError(name, "it holds a zero byte");
    if (Buffer.byteLength(value) > MAX_BYTES) {
      throw secretError(name, `it is larger than ${MAX_BYTES} bytes`);
    }
    return value;
  }

  #read(name: string, source: SecretReference["source"]): Promise<Buffer> {
    switch (source?.$case) {
      case "file":
        return readSecretFile(name, source.value);
      case "command":
        return this.#askCommand(name, source.value.command);
      default:
        throw secretError(name, "it refers to nothing");
    }
  }

  async #askCommand(name: string, command: readonly string[]): Promise<Buffer> {
    const { PATH = "", HOME = "", LANG = "" } = this.#base;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const timeout = AbortSignal.timeout(this.#commandTimeoutMs);
    const tooMuch = new AbortController();
    const wrong = await runCommand(command, {
      folder: "/",
      environment: { PATH, HOME, LANG },
      signal: AbortSignal.any([timeout, tooMuch.signal]),
      output: (chunk) => {
        bytes += chunk.length;
        if (bytes > MAX_BYTES + 2) tooMuch.abort();
        else chunks.push(chunk);
      },
    });
    if (tooMuch.signal.aborted) throw secretError(name, `it is larger than ${MAX_BYTES} bytes`);
    if (timeout.aborted) throw secretError(name, `no answer in ${this.#commandTimeoutMs} ms`);
    if (wrong !== undefined) throw secretError(name, wrong);
    return Buffer.concat(chunks);
  }
}

async function readSecretFile(name: string, file: string): Promise<Buffer> {
  if (!path.isAbsolute(file)) throw secretError(name, "its path is not absolute");
  try {
    // A pipe without a writer must not hold up everything.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await handle.stat()).isFile()) throw new Error(`${file} is not a file`);
      const buffer = Buffer.alloc(MAX_BYTES + 3);
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
        length += bytesRead;
        if (bytesRead === 0 || length === buffer.length) return buffer.subarray(0, length);
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw secretError(name, (error as Error).message);
  }
}

function secretError(name: string, why: string): SecretError {
  return new SecretError(`secret ${name} cannot be had: ${why}`);
}
