import DHT, { type Options, type Request } from "hyperdht";
import { DhtGate, type DhtRefusal } from "./dht-gate.js";
import type { AdmissionLimits } from "./admission-limits.js";

export interface PrivateDhtOptions extends Options {
  admission: AdmissionLimits;
  onRefused: (reason: DhtRefusal) => void;
}

/** A node of the region's own DHT, which does for others no more than members need. */
export class PrivateDht extends DHT {
  readonly #gate: DhtGate;
  readonly #onRefused: (reason: DhtRefusal) => void;

  constructor(options: PrivateDhtOptions) {
    super(options);
    this.#gate = new DhtGate(options.admission);
    this.#onRefused = options.onRefused;
  }

  // DHT-RPC's, where every request comes in. What is refused gets no answer.
  // oxlint-disable-next-line no-underscore-dangle -- so it is called
  override _onrequest(request: Request, external: boolean): void {
    const refusal = this.#gate.judge(request, performance.now());
    if (refusal !== undefined) this.#onRefused(refusal);
    // oxlint-disable-next-line no-underscore-dangle -- so it is called
    else super._onrequest(request, external);
  }
}
