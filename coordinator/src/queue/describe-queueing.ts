/** Which builders are connected, and which one was seen last. */
export interface Connected {
  ids: readonly string[];
  last: { id: string; time: Date } | undefined;
}

/** Why nobody takes a queued build, and what to do; empty while somebody is there who will. Pure. */
export function describeQueueing(count: number, last: Connected["last"]): string {
  if (count > 0) return "";
  const seen =
    last === undefined
      ? "none was in the last 7 days"
      : `the last one was ${last.id}, until ${last.time.toISOString()}`;
  return (
    `no builder is connected to any coordinator (${seen}): start one with "slipway-agent builder", or see ` +
    'in the logs of those that run why they cannot connect, and in "slipway token list" and "slipway ' +
    'members" whether they were revoked'
  );
}
