import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "@slipway/examples/servers";
import type { FetchProgress } from "../../src/swarm/index.js";
import type { Identity } from "../../src/swarm/identity.js";
import { writeIdentity } from "../../src/swarm/identity-file.js";
import type { FetcherConfig } from "./fetcher.js";
import type { Region } from "./fixtures.js";

const program = fileURLToPath(new URL("./fetcher.ts", import.meta.url));

export interface ChildPeerOptions {
  region: Region;
  identity: Identity;
  dir: string;
  /** What it fetches; else it shares what it has. */
  digest?: string;
  /** Goes on sharing until `end`. */
  stay?: boolean;
  listen?: { host: string; port: number };
}

/** A member in a process of its own, of one region's fleet. */
export class ChildPeer {
  readonly #process: ChildProcess;
  /** The last that it said. */
  progress: FetchProgress | undefined;
  started = false;

  private constructor(child: ChildProcess) {
    this.#process = child;
    if (child.stdout === null) throw new Error("no output");
    createInterface(child.stdout).on("line", (line) => {
      const said = JSON.parse(line) as Partial<FetchProgress>;
      this.started = true;
      if (said.total !== undefined) this.progress = said as FetchProgress;
    });
    child.stdin?.on("error", () => undefined);
  }

  static async start(options: ChildPeerOptions): Promise<ChildPeer> {
    const { region, identity, dir, digest, stay = false } = options;
    const identityFile = path.join(dir, "identity.json");
    await writeIdentity(identityFile, identity).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    const config: FetcherConfig = {
      identityFile,
      membershipPublicKey: region.membership.publicKey
        .export({ type: "spki", format: "pem" })
        .toString(),
      cell: "c1",
      listen: options.listen ?? { host: "127.0.0.1", port: await freePort() },
      bootstrap: region.bootstrap,
      runBootstrap: identity.role === "region",
      dir,
      stay,
      ...(digest === undefined ? {} : { digest }),
    };
    const configFile = path.join(dir, "config.json");
    await writeFile(configFile, JSON.stringify(config));
    const child = spawn(process.execPath, ["--import", "tsx", program, configFile], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    // Else a test that fails, and this process with it, never ends.
    region.onClose(() => void child.kill("SIGKILL"));
    return new ChildPeer(child);
  }

  kill(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.#process.kill(signal);
  }

  get ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Asks it to leave, and waits until it is gone. */
  async end(): Promise<void> {
    if (this.ended) return;
    const exited = once(this.#process, "exit");
    this.kill("SIGCONT");
    this.#process.stdin?.end();
    const timer = setTimeout(() => this.kill("SIGKILL"), 10_000);
    await exited;
    clearTimeout(timer);
  }
}
