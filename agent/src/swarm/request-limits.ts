/** How much is asked of whom, and how long it is waited for: milliseconds and bytes. */
export const LIMITS = {
  /** Shortest time that a chunk gets to begin. */
  deadlineMs: 5_000,
  /** One that comes gets so long again with each of so many parts of it that came. */
  movingMs: 60_000,
  movingParts: 16,
  /** What is owed may take so many times as long as this host's own link takes for it. */
  ownLinkFactor: 4,
  /** Any chunk waits for its turn among all that a seeder's neighbours ask for. */
  anyDeadlineMs: 60_000,
  /** A neighbour that sends nothing for so long, while it owes something, is stalled. */
  stallMs: 5_000,
  demoteMs: 5_000,
  demoteMaxMs: 60_000,
  /** Somebody busy is asked again after so long: a chunk takes longer on all but the fastest links. */
  busyMs: 50,
  /** Bytes asked of one neighbour ahead of their arrival: what it sends in so long a time … */
  windowMs: 250,
  /** … but within these bounds. */
  windowMinBytes: 1024 * 1024 + 1,
  windowMaxBytes: 16 * 1024 * 1024,
  /** Bytes asked for or not yet written, of all neighbours together: what bounds memory. */
  budgetBytes: 24 * 1024 * 1024,
  /** Bytes asked for by number, of all neighbours together: what arrives in so long a time … */
  aheadMs: 200,
  /** … but so many chunks: fewer leave links idle, more make chunks slower to pass on … */
  aheadMinChunks: 4,
  /** … if this host's own link carries them in so long a time; it has so many in any case. */
  carryMs: 1_000,
  carryMinChunks: 2,
  /** So long it waits for peers to come by what is wanted, before it asks a seeder by number. */
  patienceMs: 25,
  /** So long a seeder that has nothing new is not asked for any chunk again. */
  nothingNewMs: 1_000,
  /** A chunk is late after so many times what it should take, and no sooner than this. */
  lateFactor: 2,
  lateMinMs: 250,
  /** At the end, so many late chunks may be asked of another neighbour, too … */
  hedgedChunks: 32,
  /** … until so many owe one. */
  hedgeOwers: 3,
  /** What a chunk is expected to take as long as nobody sent any. */
  unknownMs: 1_000,
} as const;
