import type { Client } from "../client.js";
import type { Retry } from "../options.js";
import { spanText } from "./quantities.js";
import { jsonText, plain } from "./text.js";
import type { Look } from "./render/style.js";

/** Where text goes. */
export interface Output {
  readonly isTerminal: boolean;
  /** Whether colours are wanted there. */
  readonly colour: boolean;
  /** Of the terminal at this moment; Infinity where there is none. */
  columns(): number;
  rows(): number;
  /** Resolves when more may be written, so that a slow reader holds us back. */
  write(text: string): Promise<void>;
}

/** What a command works with. */
export interface Session {
  readonly client: Client;
  readonly json: boolean;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
  /** Who the user says to be, or is on this machine. */
  readonly user: string;
  readonly now: () => number;
  /** Reads a file, or standard input for "-". */
  readonly readFile: (path: string) => Promise<string>;
  /** Told of reconnects. A display that owns the terminal takes its place. */
  onRetry: (retry: Retry) => void;
}

/** How output looks on standard output now. */
export function lookOf({ stdout, now }: Pick<Session, "stdout" | "now">): Look {
  return { colour: stdout.colour, columns: stdout.columns(), now: now() };
}

/** Prints one JSON document, or what it looks like for people. */
export async function print(
  session: Session,
  document: () => unknown,
  text: () => string,
): Promise<void> {
  const { json, stdout } = session;
  await stdout.write(json ? `${jsonText(document(), 2)}\n` : text());
}

/** Prints one event of a stream of them, as one line of JSON. */
export async function printEvent({ stdout }: Session, event: unknown): Promise<void> {
  await stdout.write(`${jsonText(event)}\n`);
}

/** Says something beside the output. */
export async function note({ stderr }: Pick<Session, "stderr">, text: string): Promise<void> {
  await stderr.write(`${text}\n`);
}

/** What to say of a failure that is tried again. */
export function retryText({ error, delayMs }: Retry): string {
  const pause = delayMs < 1000 ? "" : ` in ${spanText(delayMs)}`;
  const { message } = error;
  // A coordinator says to people what is being done already.
  return `${plain(message.replace(/; try again$/, ""))}; trying again${pause}`;
}
