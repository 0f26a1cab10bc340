import type { NoiseStream } from "hyperswarm";
import { ProtocolError } from "./frames.js";

/** A hello, and the first words of who has been let in but does not know it yet. */
const STRANGER_FRAME_BYTES = 64 * 1024;

const bounds = new WeakMap<NoiseStream, { trusted: boolean }>();

/**
 * A Noise stream takes as much memory for a frame as its first three bytes say, up to 16 MiB, before
 * any more of it is here: until the other end is trusted it is closed instead. May be called twice.
 */
export function boundFrames(stream: NoiseStream): void {
  if (bounds.has(stream)) return;
  const bound = { trusted: false };
  bounds.set(stream, bound);
  const setContentSize = (bytes: number): void => {
    if (bound.trusted || bytes <= STRANGER_FRAME_BYTES) return;
    stream.destroy(new ProtocolError(`a frame of ${bytes} bytes from a stranger`));
  };
  // oxlint-disable-next-line no-underscore-dangle -- it tells nobody else before it has made room
  stream._utp = { setContentSize };
}

/** The other end is a member. */
export function trustFrames(stream: NoiseStream): void {
  const bound = bounds.get(stream);
  if (bound !== undefined) bound.trusted = true;
}
