type Bencoded = number | string | Uint8Array | Bencoded[] | { [key: string]: Bencoded };

/** BitTorrent's encoding of values. */
export function bencode(value: Bencoded): Buffer {
  if (typeof value === "number") return Buffer.from(`i${value}e`);
  if (typeof value === "string") return bencode(Buffer.from(value));
  if (value instanceof Uint8Array) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  if (Array.isArray(value)) {
    return Buffer.concat([Buffer.from("l"), ...value.map(bencode), Buffer.from("e")]);
  }
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const parts = entries.flatMap(([key, member]) => [bencode(key), bencode(member)]);
  return Buffer.concat([Buffer.from("d"), ...parts, Buffer.from("e")]);
}
