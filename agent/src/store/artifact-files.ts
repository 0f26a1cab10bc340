/** What is in an artifact's directory. */
export const FILES = {
  manifest: "manifest",
  data: "data",
  partial: "data.partial",
  /** The bits of chunks that are durable. */
  have: "have",
  /** Numbers (u32, big-endian) of chunks written since: after a crash they are hashed again. */
  recent: "recent",
} as const;
