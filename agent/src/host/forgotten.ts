import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { NAME_PATTERN } from "@slipway/proto";
import type { Logger } from "../log.js";
import {
  OBEYED_FILE,
  readForgotten,
  writeForgotten,
  type ForgottenRecord,
} from "./application-state.js";
import { compareGoalOrder, type GoalOrder, type ObeyedOrder } from "./goal-order.js";

/** How long the log of an application that is here no more can be read. */
const LOG_KEPT_MS = 14 * 86_400_000;
/** Of an application, in its folder. */
export const LOG_FOLDER = "logs";

/**
 * Applications that this host had and does not have any more: what is left of one is the order that
 * lets no older goal in and, for 14 days, its log.
 */
export class Forgotten {
  readonly #root: string;
  readonly #records = new Map<string, ForgottenRecord>();

  readonly #disowns: (keyId: string) => boolean;

  /**
   * @param root where each application has its folder.
   * @param disowns - Whether this goal key was revoked, and holds nobody to an order.
   */
  constructor(root: string, disowns: (keyId: string) => boolean) {
    this.#root = root;
    this.#disowns = disowns;
  }

  /** Reads which they are. The answer names the applications that are here still. */
  async load(log: Logger): Promise<string[]> {
    const here: string[] = [];
    for (const name of await readdir(this.#root)) {
      if (!NAME_PATTERN.test(name)) continue;
      const record = await readForgotten(path.join(this.#root, name), log);
      if (record === undefined) {
        here.push(name);
        continue;
      }
      this.#records.set(name, record);
      await this.#clear(name);
    }
    return here;
  }

  /**
   * Whether a goal is older than what was obeyed. The last one is not: it may take the host now
   * whose labels it did not take then.
   */
  isOlder(name: string, order: GoalOrder): boolean {
    const known = this.#records.get(name);
    if (known === undefined || this.#disowns(known.keyId ?? "")) return false;
    return compareGoalOrder(order, known) < 0;
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  /** An application is here no more, since the goal of this place in the order. */
  async add(name: string, { generation, issueTimeMs, keyId }: ObeyedOrder): Promise<void> {
    const { forgottenTimeMs = Date.now() } = this.#records.get(name) ?? {};
    const record = { generation, issueTimeMs, keyId, forgottenTimeMs };
    this.#records.set(name, record);
    await writeForgotten(path.join(this.#root, name), record);
    await this.#clear(name);
  }

  /** The application comes back. */
  delete(name: string): void {
    this.#records.delete(name);
  }

  /** Removes the logs of those that went long ago. */
  async sweep(now = Date.now()): Promise<void> {
    for (const [name, { forgottenTimeMs }] of this.#records) {
      if (now - forgottenTimeMs < LOG_KEPT_MS) continue;
      await rm(path.join(this.#root, name, LOG_FOLDER), { recursive: true, force: true });
    }
  }

  /** Removes what is neither the record nor the log, be it what a crash left. */
  async #clear(name: string): Promise<void> {
    const folder = path.join(this.#root, name);
    for (const entry of await readdir(folder)) {
      if (entry === LOG_FOLDER || entry === OBEYED_FILE) continue;
      await rm(path.join(folder, entry), { recursive: true, force: true });
    }
  }
}
