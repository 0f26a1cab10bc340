import { open } from "node:fs/promises";
import type { LogFile, LogPart } from "./log-file.js";

const LOG_READ_DEFAULT_BYTES = 64 * 1024;
const LOG_READ_MAX_BYTES = 512 * 1024;
const POSITION_PATTERN = /^([0-9a-f-]{36}):(\d{1,15})$/;
const NEWLINE = 0x0a;

/** A position that no log ever gave. */
export class LogPositionError extends Error {
  override readonly name = "LogPositionError";
}

export interface LogRead {
  /** Whole lines, but for one that is longer than what was asked for, or whose rest is lost. */
  content: Buffer;
  /** To go on from. */
  position: string;
  /** Something between the position that was asked for and the content is here no more. */
  gap: boolean;
}

/**
 * Reads on from a position, or with none, the end of the log. A last line without its end is kept
 * back until it has one. @throws LogPositionError, system errors.
 */
export function readLog(log: LogFile, position: string, maxBytes: number): Promise<LogRead> {
  const bytes = Math.min(maxBytes === 0 ? LOG_READ_DEFAULT_BYTES : maxBytes, LOG_READ_MAX_BYTES);
  return log.withParts(async ({ id, parts }) => {
    const begin = choose(parts, id, position, bytes);
    const run = contiguous(parts, begin.from);
    // The byte before tells whether a line begins here.
    const before = begin.inLine && run.start < begin.from ? 1 : 0;
    const from = begin.from - before;
    const read = await readParts(run.parts, from, Math.min(bytes + before, run.end - from));
    const [first, end] = wholeLines(read, {
      inLine: begin.inLine,
      before,
      mayGrow: run.isLast && read.length < bytes + before,
    });
    return { content: read.subarray(first, end), position: `${id}:${from + end}`, gap: begin.gap };
  });
}

interface Begin {
  from: number;
  /** Perhaps in the middle of a line. */
  inLine: boolean;
  gap: boolean;
}

function choose(parts: LogPart[], id: string, position: string, bytes: number): Begin {
  const first = parts[0]?.start ?? 0;
  const end = parts.at(-1)?.end ?? 0;
  if (position === "") {
    const from = Math.max(first, end - bytes);
    return { ...skipHole(parts, from), inLine: from > 0, gap: false };
  }
  const [, of, offset] = POSITION_PATTERN.exec(position) ?? [];
  if (offset === undefined) throw new LogPositionError("no log has such a position");
  const from = Number(offset);
  // Another log was here when that was its position, or more of it than was kept.
  if (of !== id || from < first || from > end) return { from: first, inLine: first > 0, gap: true };
  const there = skipHole(parts, from);
  return { ...there, inLine: there.gap };
}

/** What was dropped when a file was rotated is passed over. */
function skipHole(parts: LogPart[], from: number): { from: number; gap: boolean } {
  const next = parts.find((part) => from < part.end) ?? parts.at(-1);
  const gap = next !== undefined && next.start > from;
  return { from: gap ? next.start : from, gap };
}

/** The files around a position between which nothing is missing. */
function contiguous(
  parts: LogPart[],
  from: number,
): { parts: LogPart[]; start: number; end: number; isLast: boolean } {
  let run: LogPart[] = [];
  for (const part of parts) {
    if (run.length > 0 && run.at(-1)?.end !== part.start) {
      if (from < (run.at(-1)?.end ?? 0)) break;
      run = [];
    }
    run.push(part);
  }
  const end = run.at(-1)?.end ?? from;
  return { parts: run, start: run[0]?.start ?? from, end, isLast: end === parts.at(-1)?.end };
}

async function readParts(parts: LogPart[], from: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let done = 0;
  for (const { file, start, end } of parts) {
    if (done === length) break;
    const at = from + done;
    if (at >= end) continue;
    const handle = await open(file, "r");
    try {
      const wanted = Math.min(length - done, end - at);
      const { bytesRead } = await handle.read(buffer, done, wanted, at - start);
      done += bytesRead;
      // The release itself has cut its log.
      if (bytesRead < wanted) break;
    } finally {
      await handle.close();
    }
  }
  return buffer.subarray(0, done);
}

/** Where whole lines begin and end. */
function wholeLines(
  bytes: Buffer,
  { inLine, before, mayGrow }: { inLine: boolean; before: number; mayGrow: boolean },
): [number, number] {
  const first = (inLine ? bytes.indexOf(NEWLINE) + 1 : 0) || before;
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  if (end > first) return [first, end];
  // Nothing but a part of a line.
  return mayGrow ? [first, first] : [first, bytes.length];
}
