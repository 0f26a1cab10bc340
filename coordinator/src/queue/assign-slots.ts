/** A builder that waits for builds. */
export interface WaitingBuilder {
  builderId: string;
  free: number;
}

/**
 * Who gets the next builds: one each in turn, first those at the front, so that a builder with many
 * free slots does not starve the others. At most `limit` mentions.
 */
export function assignSlots(builders: readonly WaitingBuilder[], limit: number): string[] {
  const assigned: string[] = [];
  for (let round = 1; assigned.length < limit; round += 1) {
    const takers = builders.filter(({ free }) => free >= round);
    if (takers.length === 0) break;
    for (const { builderId } of takers.slice(0, limit - assigned.length)) assigned.push(builderId);
  }
  return assigned;
}
