import type { Context, Service } from "../../context.js";
import { builderRevoked, revokedBuilders } from "../../membership/revoked-builders.js";
import { Sweeper } from "../../sweeper.js";

/** As long as a token that was revoked may be taken for good. */
const LOOK_MS = 4_000;

/** Ends the streams of builders that were revoked, wherever that was said. */
export class BuilderRevocations implements Service {
  readonly #context: Pick<Context, "db" | "events" | "builderSessions">;
  readonly #sweeper: Sweeper;
  #forget: (() => void) | undefined;

  constructor(context: Pick<Context, "db" | "events" | "builderSessions" | "log">) {
    this.#context = context;
    const what = "ending the streams of revoked builders";
    const sweeps = [{ what, run: () => this.#look() }];
    this.#sweeper = new Sweeper({ sweeps, intervalMs: LOOK_MS, log: context.log });
  }

  start(): void {
    this.#forget ??= this.#context.events.subscribe("member", () => this.#sweeper.wake());
    this.#sweeper.start();
  }

  async stop(): Promise<void> {
    this.#forget?.();
    await this.#sweeper.stop();
  }

  async #look(): Promise<number> {
    const { db, builderSessions } = this.#context;
    const ids = await revokedBuilders(db, builderSessions.ids);
    for (const id of ids) builderSessions.end(id, builderRevoked(id));
    return ids.length;
  }
}
