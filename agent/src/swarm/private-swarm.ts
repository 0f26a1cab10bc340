import { Door } from "@slipway/proto/admission";
import Hyperswarm, { type NoiseStream, type Options } from "hyperswarm";
import type { AdmissionLimits } from "./admission-limits.js";
import { boundFrames } from "./bounded-frames.js";
import { ProtocolError } from "./frames.js";

export interface PrivateSwarmOptions extends Options {
  admission: AdmissionLimits;
  onRefused: (reason: "late" | "crowded" | "no_hello") => void;
}

/**
 * Hyperswarm, with a door. Whoever repeats a handshake that it has seen gets a connection in the name
 * of who made it, though it can neither read nor write on it; Hyperswarm would give up the living one
 * for it at once. Here a connection is none before something came over it that only the owner of its
 * key can say, and until it is let in it has little room, and not for long.
 */
export class PrivateSwarm extends Hyperswarm {
  readonly #door: Door<NoiseStream>;
  readonly #onRefused: PrivateSwarmOptions["onRefused"];
  readonly #spoken = new WeakSet<NoiseStream>();

  constructor(options: PrivateSwarmOptions) {
    super(options);
    this.#onRefused = options.onRefused;
    this.#door = new Door({
      limits: options.admission.greetings,
      close: (stream) => stream.destroy(),
      onRefused: (reason) => options.onRefused(reason === "late" ? "late" : "crowded"),
    });
  }

  /** Connections that others made and that were not let in yet. */
  get waiting(): number {
    return this.#door.size;
  }

  /** The other end is a member. */
  letIn(stream: NoiseStream): void {
    this.#door.leave(stream);
  }

  override async destroy(options?: { force?: boolean }): Promise<void> {
    await super.destroy(options);
    this.#door.stop();
  }

  // Hyperswarm's, for each connection that somebody made; again when it has closed an older one for it.
  // oxlint-disable-next-line no-underscore-dangle -- so it is called
  override _handleServerConnection(stream: NoiseStream): void {
    // oxlint-disable-next-line no-underscore-dangle -- so it is called
    const handOver = (): void => super._handleServerConnection(stream);
    if (this.#spoken.has(stream)) {
      handOver();
      return;
    }
    stream.on("error", (error: Error) => {
      const isHeard = this.#spoken.has(stream);
      if (!isHeard && error instanceof ProtocolError) this.#onRefused("no_hello");
    });
    boundFrames(stream);
    this.#door.enter(stream, stream.rawStream.remoteHost);
    stream.on("close", () => this.#door.leave(stream));
    stream.once("readable", () => {
      if (stream.destroying) return;
      this.#spoken.add(stream);
      handOver();
    });
  }
}
