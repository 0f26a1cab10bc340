import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import { open } from "node:fs/promises";
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import process from "node:process";

const script = fileURLToPath(import.meta.url);

/** MB/s of a file from one process to another over loopback TCP: not verified, not written. */
export async function rawTcpMbPerS(file: string): Promise<number> {
  const child = fork(script, [file]);
  try {
    const [port] = (await once(child, "message")) as [number];
    const start = performance.now();
    const buffer = Buffer.allocUnsafe(1024 * 1024);
    let bytes = 0;
    const socket = createConnection({
      host: "127.0.0.1",
      port,
      onread: {
        buffer,
        callback: (count) => {
          bytes += count;
          return true;
        },
      },
    });
    await once(socket, "close");
    return bytes / 1e6 / ((performance.now() - start) / 1000);
  } finally {
    child.kill();
  }
}

async function serve(file: string): Promise<void> {
  const server = createServer((socket) => {
    void (async () => {
      const source = await open(file);
      const buffers = [Buffer.allocUnsafe(1024 * 1024), Buffer.allocUnsafe(1024 * 1024)];
      for (let turn = 0; ; turn++) {
        const buffer = buffers[turn % 2] as Buffer;
        const { bytesRead } = await source.read(buffer, 0, buffer.length);
        if (bytesRead === 0) break;
        await new Promise((resolve) => socket.write(buffer.subarray(0, bytesRead), resolve));
      }
      socket.end();
      await source.close();
    })();
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address !== null && typeof address === "object") process.send?.(address.port);
  });
  await once(process, "disconnect");
  process.exit(0);
}

if (process.argv[1] === script && process.argv[2] !== undefined) await serve(process.argv[2]);
