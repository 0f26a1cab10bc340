/** How soon a download's bytes are wanted, beside those of others. */
export type Priority = "urgent" | "normal" | "background";

/** A chunk by its number, or any one: then who sends it chooses. */
export type Wanted = number | "any";

/** Higher goes first; on the wire this number stands for the priority. */
export const PRIORITY_RANK: Readonly<Record<Priority, number>> = {
  urgent: 2,
  normal: 1,
  background: 0,
};
