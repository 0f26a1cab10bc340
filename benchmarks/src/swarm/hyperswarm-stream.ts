import { fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { freePort } from "@slipway/examples/servers";
import DHT, { type Address } from "hyperdht";

const script = fileURLToPath(import.meta.url);
const HOST = "127.0.0.1";
/** Its rate is steady: more takes longer, and says the same. */
const BYTES = 256 * 1024 * 1024;
const WRITE_BYTES = 64 * 1024;
const TIMEOUT_MS = 60_000;

interface Served {
  publicKey: string;
  bootstrap: Address;
}

/**
 * MB/s of the stream that Hyperswarm gives for a connection (Noise over UDX), from one process to
 * another over loopback: from the first byte to the last, neither verified nor written.
 */
export async function hyperswarmStreamMbPerS(): Promise<number> {
  const child = fork(script, ["serve", `${await freePort()}`]);
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let dht: DHT | undefined;
  try {
    const [{ publicKey, bootstrap }] = (await once(child, "message", { signal })) as [Served];
    dht = new DHT({ bootstrap: [bootstrap], host: HOST, firewalled: false });
    const stream = dht.connect(Buffer.from(publicKey, "hex"));
    let bytes = 0;
    let start = 0;
    const all = new Promise<void>((resolve, reject) => {
      stream.on("error", reject);
      stream.on("data", (data: Buffer) => {
        if (bytes === 0) start = performance.now();
        bytes += data.length;
        if (bytes >= BYTES) resolve();
      });
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
    stream.write("go");
    await all;
    return bytes / 1e6 / ((performance.now() - start) / 1000);
  } finally {
    await dht?.destroy({ force: true });
    child.kill();
  }
}

async function serve(port: number): Promise<void> {
  const bootstrapper = DHT.bootstrapper(port, HOST, { host: HOST });
  await bootstrapper.ready();
  const bootstrap = { host: HOST, port };
  const dht = new DHT({ bootstrap: [bootstrap], host: HOST, firewalled: false });
  const keyPair = DHT.keyPair();
  const server = dht.createServer((stream) => {
    // Its other end leaves without a word once it has everything.
    stream.on("error", () => undefined);
    stream.once("data", () => {
      const block = Buffer.alloc(WRITE_BYTES, 7);
      let left = BYTES;
      const send = (): void => {
        while (left > 0) {
          left -= block.length;
          if (!stream.write(block)) return;
        }
      };
      stream.on("drain", send);
      send();
    });
  });
  await server.listen(keyPair);
  process.send?.({ publicKey: keyPair.publicKey.toString("hex"), bootstrap } satisfies Served);
  await once(process, "disconnect");
  process.exit(0);
}

if (process.argv[1] === script && process.argv[2] === "serve") await serve(Number(process.argv[3]));
