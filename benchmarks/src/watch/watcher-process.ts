import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { within } from "../queue/job-queue.js";
import type { WatcherConfig, WatcherMessage } from "./watcher.js";

const script = fileURLToPath(new URL("watcher.js", import.meta.url));

type Message<Kind extends WatcherMessage["kind"]> = Extract<WatcherMessage, { kind: Kind }>;

/** Watchers in a process of their own, which ends with this one. */
export class WatcherProcess {
  readonly streams: number;
  readonly #child: ChildProcess;

  constructor(config: WatcherConfig) {
    this.streams = config.streams;
    this.#child = fork(script, [JSON.stringify(config)], { execArgv: [] });
  }

  /** Its next message of this kind. @throws Error if it ends before, or takes too long. */
  async next<Kind extends WatcherMessage["kind"]>(kind: Kind): Promise<Message<Kind>> {
    const heard = new Promise<Message<Kind>>((resolve, reject) => {
      this.#child.on("message", (message: WatcherMessage) => {
        if (message.kind === kind) resolve(message as Message<Kind>);
      });
      this.#child.once("exit", (code) => reject(new Error(`watchers ended with ${code}`)));
    });
    return within(`watchers being ${kind}`, heard);
  }

  async received(): Promise<Message<"received">["times"]> {
    const heard = this.next("received");
    this.#child.send("received");
    return (await heard).times;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}
