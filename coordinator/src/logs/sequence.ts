/**
 * A line's sequence is its message's sequence in the stream, and its place in the message in the
 * low digits. The last place is kept for what a coordinator says after a message. A stream's first
 * message has the milliseconds since 1970 as its sequence: that is exact in a double until 2248.
 */
const PLACES = 1_024;

/** @param index of the line in its message, below 1,000. */
export function lineSequence(messageSequence: number, index: number): number {
  return messageSequence * PLACES + index;
}

/** The place after every line of a message, and before the next one's first. */
export function afterMessage(messageSequence: number): number {
  return messageSequence * PLACES + PLACES - 1;
}

/** The first message that may have a line after this sequence. */
export function firstMessageAfter(sequence: number): number {
  return Math.max(1, Math.floor((sequence + 1) / PLACES));
}
