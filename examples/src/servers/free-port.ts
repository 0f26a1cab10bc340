import { createSocket } from "node:dgram";
import { createServer, type Server } from "node:net";

// Below every system's ephemeral range (32,768 on Linux, 49,152 on macOS), so that no outgoing
// connection takes a port between its choice and its use.
const FIRST_PORT = 10_240;
const BLOCK_SIZE = 64;
const BLOCK_COUNT = 340;

let block: { base: number; next: number; holder: Server } | undefined;
let claiming: Promise<unknown> = Promise.resolve();

/**
 * A port of 127.0.0.1 that is free for TCP and for UDP. Never given out twice by this process, nor
 * by two processes at once: each takes its ports from a block that it holds by listening on the
 * block's first port for as long as it lives.
 * @throws Error when all blocks are taken.
 */
export function freePort(): Promise<number> {
  const port = claiming.then(choosePort);
  claiming = port.catch(() => undefined);
  return port;
}

async function choosePort(): Promise<number> {
  for (;;) {
    if (block === undefined || block.next >= block.base + BLOCK_SIZE) block = await claimBlock();
    const port = block.next++;
    if (await isFree(port)) return port;
  }
}

async function claimBlock(): Promise<NonNullable<typeof block>> {
  const start = Math.floor(Math.random() * BLOCK_COUNT);
  for (let i = 0; i < BLOCK_COUNT; i++) {
    const base = FIRST_PORT + ((start + i) % BLOCK_COUNT) * BLOCK_SIZE;
    const holder = await listen(base);
    if (holder !== undefined) {
      holder.unref();
      return { base, next: base + 1, holder };
    }
  }
  throw new Error("no free port: every block of ports is held by another process");
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => {
      socket.close();
      resolve(false);
    });
    socket.bind(port, "127.0.0.1", () => socket.close(() => resolve(true)));
  });
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
