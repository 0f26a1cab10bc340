import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { HostsConfig, Told } from "./hosts.js";

const script = fileURLToPath(new URL("hosts.js", import.meta.url));

/** A region's hosts, in a few processes. */
export class HostProcesses {
  readonly #children: ChildProcess[];

  constructor(hosts: number, processes: number, where: { nats: string; region: string }) {
    const starts = Array.from({ length: processes + 1 }, (_, i) =>
      Math.round((i * hosts) / processes),
    );
    this.#children = starts.slice(1).map((end, i) => {
      const from = starts[i] ?? 0;
      const config: HostsConfig = { ...where, hosts: end - from, from };
      return fork(script, [JSON.stringify(config)]);
    });
  }

  /**
   * When each host was told a generation, in ms on the machine's clock. To be called before it is
   * written. Throws if not all are in time, or a process ends.
   */
  async told(generation: number, timeoutMs: number): Promise<number[]> {
    const ending = new AbortController();
    const timer = setTimeout(
      () => ending.abort(new Error(`not every host had generation ${generation} in time`)),
      timeoutMs,
    );
    try {
      const all = this.#children.map((child) => toldBy(child, generation, ending));
      return (await Promise.all(all)).flat();
    } finally {
      clearTimeout(timer);
      ending.abort();
    }
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exited = once(child, "exit");
        child.disconnect();
        await exited;
      }),
    );
  }
}

function toldBy(
  child: ChildProcess,
  generation: number,
  ending: AbortController,
): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const { signal } = ending;
    const heard = (message: Told): void => {
      if (message.generation === generation) resolve(message.atMs);
    };
    const exited = (): void => ending.abort(new Error("a process of hosts ended"));
    child.on("message", heard);
    child.once("exit", exited);
    signal.addEventListener("abort", () => {
      child.off("message", heard);
      child.off("exit", exited);
      reject(signal.reason as Error);
    });
  });
}
