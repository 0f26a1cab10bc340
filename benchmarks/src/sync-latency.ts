import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { median } from "./statistics.js";

/** Milliseconds that one 8 KiB write and fdatasync takes here and now: what a commit can't beat. */
export async function syncLatencyMs(rounds = 200): Promise<number> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-sync-"));
  try {
    const file = await open(path.join(dir, "file"), "w");
    const page = Buffer.alloc(8192, 1);
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const start = performance.now();
      await file.write(page, 0, page.length, i * page.length);
      await file.datasync();
      times.push(performance.now() - start);
    }
    await file.close();
    return median(times);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
