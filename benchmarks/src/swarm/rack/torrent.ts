import { createHash } from "node:crypto";
import { open, writeFile } from "node:fs/promises";
import path from "node:path";
import { bencode } from "./bencode.js";

const PIECE_BYTES = 1024 * 1024;

/** Writes a torrent of one file, with pieces as large as our chunks are on average. */
export async function makeTorrent(file: string, announce: string, into: string): Promise<void> {
  const source = await open(file);
  const hashes: Buffer[] = [];
  let length = 0;
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (;;) {
      const { bytesRead } = await source.read(piece, 0, PIECE_BYTES, length);
      if (bytesRead === 0) break;
      hashes.push(createHash("sha1").update(piece.subarray(0, bytesRead)).digest());
      length += bytesRead;
    }
  } finally {
    await source.close();
  }
  const info = {
    length,
    name: path.basename(file),
    "piece length": PIECE_BYTES,
    pieces: Buffer.concat(hashes),
  };
  await writeFile(into, bencode({ announce, info }));
}
