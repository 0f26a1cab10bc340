import type { KeyObject } from "node:crypto";
import { isSignatureOf, shortKeyId, SIGNATURE_BYTES } from "@slipway/proto";
import { runCommand, stopped } from "./run-command.js";
import { type KeyUse, type Signer, SignerError } from "./signer.js";

const TIMEOUT_MS = 10_000;
const CONCURRENCY = 8;
const MAX_WAITING = 10_000;
const BASE64_SIGNATURE = /^[A-Za-z0-9+/_-]{86}(?:==)?$/;

interface CommandSignerOptions {
  use: KeyUse;
  publicKey: KeyObject;
  /** The command and its arguments. */
  argv: readonly string[];
  /** From its start to its answer. Default 10 s. */
  timeoutMs?: number;
  /** How many run at once, at most. Default 8. */
  concurrency?: number;
  /** How many wait for those, at most. Default 10,000. */
  maxWaiting?: number;
}

/**
 * Signs by a command that holds the key, or knows who does: it gets the bytes on standard input and
 * answers the signature, raw or in base64, on standard output. Nothing that it answers is used unless
 * it fits the public key.
 */
export class CommandSigner implements Signer {
  readonly keyId: string;
  readonly publicKey: KeyObject;
  readonly #what: string;
  readonly #argv: readonly string[];
  readonly #timeoutMs: number;
  readonly #maxWaiting: number;
  readonly #stop = new AbortController();
  readonly #waiting: { start: () => void; give: (up: SignerError) => void }[] = [];
  readonly #running = new Set<Promise<unknown>>();
  #free: number;

  constructor({
    use,
    publicKey,
    argv,
    timeoutMs = TIMEOUT_MS,
    concurrency = CONCURRENCY,
    maxWaiting = MAX_WAITING,
  }: CommandSignerOptions) {
    this.#what = `${use} signer command`;
    this.publicKey = publicKey;
    this.keyId = shortKeyId(publicKey);
    this.#argv = argv;
    this.#timeoutMs = timeoutMs;
    this.#free = concurrency;
    this.#maxWaiting = maxWaiting;
  }

  async sign(bytes: Buffer): Promise<Buffer> {
    await this.#turn();
    const running = this.#run(bytes);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next.start();
    }
  }

  /** Ends what runs; nothing is signed from now on. May be called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const { give } of this.#waiting.splice(0)) give(stopped(this.#what));
    await Promise.allSettled(this.#running);
  }

  /** Waits until one more may run. */
  #turn(): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.reject(stopped(this.#what));
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    if (this.#waiting.length >= this.#maxWaiting) {
      const message = `${this.#maxWaiting} signatures wait for the ${this.#what} already`;
      return Promise.reject(new SignerError("full", message, {}));
    }
    return new Promise((start, give) => this.#waiting.push({ start, give }));
  }

  async #run(bytes: Buffer): Promise<Buffer> {
    const options = { what: this.#what, argv: this.#argv, timeoutMs: this.#timeoutMs };
    const signature = readSignature(
      await runCommand({ ...options, signal: this.#stop.signal }, bytes),
    );
    if (signature === undefined) {
      const message = `the ${this.#what} must answer 64 bytes, raw or in base64`;
      throw new SignerError("malformed", message, {});
    }
    if (isSignatureOf(this.publicKey, bytes, signature)) return signature;
    const message = `what the ${this.#what} answers is no signature by key ${this.keyId}`;
    throw new SignerError("mismatched", message, {});
  }
}

/** 64 bytes, raw or in base64 with white space around; undefined for anything else. */
export function readSignature(answer: Buffer): Buffer | undefined {
  if (answer.length === SIGNATURE_BYTES) return answer;
  const text = answer.toString("latin1").trim();
  return BASE64_SIGNATURE.test(text) ? Buffer.from(text, "base64") : undefined;
}

/**
 * A command and its arguments: words with spaces between, or a JSON array of strings where one has
 * a space in it. No shell reads them. @throws Error with a one-line reason.
 */
export function parseCommand(text: string): string[] {
  const argv = text.trimStart().startsWith("[") ? parseArray(text) : text.trim().split(/\s+/);
  if (argv !== undefined && argv[0] !== undefined && argv[0] !== "") return argv;
  throw new Error(
    `not a command, nor a JSON array of a command and its arguments: ${JSON.stringify(text)}`,
  );
}

function parseArray(text: string): string[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const isArgv = Array.isArray(value) && value.every((part) => typeof part === "string");
  return isArgv ? (value as string[]) : undefined;
}
