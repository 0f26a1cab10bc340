import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { PeerConfig, PeerMessage, PeerOrder } from "./peer.js";

const peerScript = fileURLToPath(new URL("peer.js", import.meta.url));
const END_MS = 5_000;
/** Writing a profile takes a while. */
const END_PROFILED_MS = 20_000;
/** The longest that anything a peer is waited for may take. */
const ANSWER_MS = 600_000;

export interface PeerProcessOptions {
  /** Of its profile. */
  name: string;
  config: PeerConfig;
  /** A network namespace to run in. */
  namespace?: string;
  /** A directory for its profile. */
  profile?: string;
}

type Message<Kind extends PeerMessage["kind"]> = Extract<PeerMessage, { kind: Kind }>;

/** A peer of the swarm in a process of its own; it ends itself when this one is gone. */
export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #profiled: boolean;

  constructor({ name, config, namespace, profile }: PeerProcessOptions) {
    this.#profiled = profile !== undefined;
    const profiling =
      profile === undefined
        ? []
        : [
            "--cpu-prof",
            // A file for each thread.
            `--cpu-prof-dir=${path.resolve(profile, name)}`,
          ];
    const node = [process.execPath, ...profiling, peerScript, JSON.stringify(config)];
    // `ip netns exec` becomes the command that it runs: the process id is the peer's.
    const [file = "", ...args] =
      namespace === undefined ? node : ["ip", "netns", "exec", namespace, ...node];
    this.#child = spawn(file, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    // Being ended while it is spoken to is no failure: whoever waits for an answer hears of the exit.
    this.#child.on("error", () => undefined);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the peer did not start");
    return this.#child.pid;
  }

  order(what: PeerOrder): void {
    if (this.#child.connected) this.#child.send(what, () => undefined);
  }

  /** Its next message of this kind. Throws if it ends before, or takes too long. */
  next<Kind extends PeerMessage["kind"]>(kind: Kind, ms = ANSWER_MS): Promise<Message<Kind>> {
    return new Promise((resolve, reject) => {
      const child = this.#child;
      const settle = (): void => {
        clearTimeout(timer);
        child.off("message", heard);
        child.off("exit", exited);
      };
      const heard = (message: PeerMessage): void => {
        if (message.kind !== kind) return;
        settle();
        resolve(message as Message<Kind>);
      };
      const give = (why: string): void => {
        settle();
        reject(new Error(`a peer ${why} before it was ${kind}`));
      };
      const exited = (code: number | null, signal: string | null): void =>
        give(`ended with ${code ?? signal}`);
      const timer = setTimeout(() => give(`took more than ${ms} ms`), ms);
      child.on("message", heard);
      child.once("exit", exited);
      if (child.exitCode !== null || child.signalCode !== null)
        exited(child.exitCode, child.signalCode);
    });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    if (child.connected) child.disconnect();
    const patience = this.#profiled ? END_PROFILED_MS : END_MS;
    const timer = setTimeout(() => child.kill("SIGKILL"), patience);
    await exited;
    clearTimeout(timer);
  }
}
