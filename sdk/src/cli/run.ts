import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { Session } from "./session.js";

/** What a command does; the number is its exit code, nothing is 0. */
type Handler<Args extends unknown[]> = (session: Session, ...args: Args) => Promise<number | void>;

/** Makes a command's action: opens a session, runs the handler, keeps the exit code. */
export type Run = <Args extends unknown[]>(
  handler: Handler<Args>,
) => (...args: Args) => Promise<void>;

/** Adds one command to its group. */
export type AddCommand = (group: Command, run: Run) => void;

/** Reads --limit: a number of rows, or all. */
export function parseLimit(text: string): number {
  if (text === "all") return Number.POSITIVE_INFINITY;
  const limit = Number(text);
  if (/^\d{1,9}$/.test(text) && limit > 0) return limit;
  throw new InvalidArgumentError('It must be a number above 0, or "all".');
}
