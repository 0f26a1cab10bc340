import { type ChildProcess } from "node:child_process";
import { link, mkdir } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SkippedError } from "../../skipped.js";
import { command } from "./command.js";
import type { Contender, Course, LineUp } from "./contender.js";
import { endProgram, pidOf, startIn } from "./program.js";
import { makeTorrent } from "./torrent.js";

/** Debian's own: its modules are not seen by others. */
const PYTHON = "/usr/bin/python3";
const PORT = 6881;
const READY_MS = 30_000;
const script = fileURLToPath(new URL("../../../peers/libtorrent-peer.py", import.meta.url));

/**
 * libtorrent with its own settings for high performance, uTP, encryption and discovery off. Hosts
 * are up and every two of them connected before the start. The seeder is up too; the clock starts
 * when it is told to add the torrent and to connect to every host. A host's end is when libtorrent
 * says that the torrent is finished.
 */
export async function libtorrent(): Promise<Contender> {
  await command(PYTHON, ["-c", "import libtorrent"]).catch(() => {
    throw new SkippedError("libtorrent is not installed (Debian: python3-libtorrent)");
  });
  return { lineUp };
}

async function lineUp(course: Course): Promise<LineUp> {
  const { network, hosts, artifact, dir } = course;
  const peers: TorrentPeer[] = [];
  const end = async (): Promise<void> => {
    await Promise.all(peers.map((peer) => peer.end()));
  };
  try {
    const torrent = path.join(dir, "torrent");
    await makeTorrent(artifact.file, "", torrent);
    const start = async (index: number): Promise<TorrentPeer> => {
      const own = path.join(dir, `${index}`);
      await mkdir(own, { recursive: true });
      if (index === 0) await link(artifact.file, path.join(own, path.basename(artifact.file)));
      const listen = `${network.address(index)}:${PORT}`;
      const config = { listen, torrent, dir: own, seed: index === 0 };
      const args = [PYTHON, script, JSON.stringify(config)];
      const peer = new TorrentPeer(
        startIn(network.namespace(index), args, { stdio: ["pipe", "pipe", "inherit"] }),
      );
      peers.push(peer);
      await peer.next("listening");
      return peer;
    };
    const seeder = await start(0);
    const numbers = Array.from({ length: hosts }, (_, index) => index + 1);
    const lined = await Promise.all(numbers.map(start));
    const addresses = (from: number): [string, number][] =>
      numbers.slice(from).map((index) => [network.address(index), PORT]);
    const connected = lined.map((peer, index) => {
      const ready = peer.next("connected");
      peer.order({ connect: addresses(index + 1), peers: hosts - 1 });
      return ready;
    });
    await Promise.all(connected);
    return {
      hosts: lined.map(({ pid }) => pid),
      go: () => {
        const ends = lined.map((peer) => peer.next("finished"));
        const startedAt = Date.now();
        seeder.order({ connect: addresses(0), peers: 0 });
        return Promise.resolve({ startedAt, ends });
      },
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Speaks JSON lines; ends when its input does. */
class TorrentPeer {
  readonly #child: ChildProcess;
  readonly #said = new Map<string, number>();
  readonly #wakers = new Set<() => void>();

  constructor(child: ChildProcess) {
    this.#child = child;
    const wake = (): void => {
      for (const waker of this.#wakers) waker();
    };
    child.on("exit", wake);
    child.stdin?.on("error", () => undefined);
    if (child.stdout === null) throw new Error("libtorrent has no output");
    createInterface(child.stdout).on("line", (line) => {
      const { said, at } = JSON.parse(line) as { said: string; at: number };
      this.#said.set(said, at);
      wake();
    });
  }

  get pid(): number {
    return pidOf(this.#child);
  }

  order(what: { connect: [string, number][]; peers: number }): void {
    this.#child.stdin?.write(`${JSON.stringify(what)}\n`);
  }

  /** When it said this, by Date.now. */
  async next(what: string): Promise<number> {
    const limit = what === "finished" ? undefined : AbortSignal.timeout(READY_MS);
    for (;;) {
      const at = this.#said.get(what);
      if (at !== undefined) return at;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`libtorrent ended before it was ${what}`);
      }
      await this.#woken(limit);
      if (limit?.aborted === true) throw new Error(`libtorrent was not ${what} in ${READY_MS} ms`);
    }
  }

  end(): Promise<void> {
    return endProgram(this.#child);
  }

  #woken(limit: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake);
        limit?.removeEventListener("abort", wake);
        resolve();
      };
      this.#wakers.add(wake);
      limit?.addEventListener("abort", wake);
    });
  }
}
