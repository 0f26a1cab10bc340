import { mkdir } from "node:fs/promises";
import path from "node:path";
import { startChild } from "../processes/child.js";
import { temporaryDirectory } from "../processes/temporary-directory.js";
import { freePort } from "./free-port.js";
import { natsBinary } from "./nats-binary.js";

const START_TIMEOUT_MS = 20_000;

export interface NatsOptions {
  /**
   * Where JetStream's files and the log are kept: made if missing, used again if not, not removed
   * at stop. Default: a temporary directory that is.
   */
  dir?: string;
  /** On 127.0.0.1. Default: a free one. */
  port?: number;
  /**
   * A configuration as `slipway-coordinator nats-config` writes it: everything but where the server
   * listens is as it says, also where it keeps what it keeps. Default: whoever connects may all.
   */
  config?: string;
}

export interface NatsServer {
  url: string;
  port: number;
  pid: number;
  dir: string;
  logFile: string;
  /** May be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts a real nats-server of its own with JetStream, on 127.0.0.1 only. It ends with this process,
 * whatever ends that.
 * @throws Error if there is no nats-server and none can be fetched, or, with the end of its log, if
 * it does not start.
 */
export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const program = await natsBinary();
  const temporary =
    options.dir === undefined ? await temporaryDirectory("slipway-nats-") : undefined;
  const dir = path.resolve(options.dir ?? (temporary?.path as string));
  const logFile = path.join(dir, "nats.log");
  let child;
  try {
    await mkdir(dir, { recursive: true });
    const port = options.port ?? (await freePort());
    child = await startChild({
      name: "nats-server",
      command: program,
      args: ["-a", "127.0.0.1", "-p", String(port), ...settings(options.config, dir)],
      cwd: dir,
      logFile,
    });
    await child.logged(/Server is ready/, START_TIMEOUT_MS);
    const server = child;
    let stopped: Promise<void> | undefined;
    return {
      url: `nats://127.0.0.1:${port}`,
      port,
      pid: server.pid,
      dir,
      logFile,
      stop() {
        stopped ??= server.stop().then(() => temporary?.remove());
        return stopped;
      },
    };
  } catch (error) {
    await child?.stop();
    await temporary?.remove();
    throw error;
  }
}

function settings(config: string | undefined, dir: string): string[] {
  return config === undefined ? ["-js", "-sd", path.join(dir, "data")] : ["-c", config];
}
