import { createHash, type KeyObject } from "node:crypto";
import path from "node:path";
import { KeySetRefusedError, type VerifiedKeySet, verifyKeySet } from "@slipway/proto";
import { KeptFile } from "../kept-file.js";
import type { Logger } from "../log.js";
import { readIfThere } from "../store/files.js";
import type { TrustedKeys } from "./trusted-keys.js";

/** Values that are remembered as refused, for the log's sake. */
const REFUSED_MAX = 64;

interface KeptKeySetOptions {
  dataDir: string;
  trust: TrustedKeys;
  /** Public ones; of a set that is taken, one of them has signed it. */
  rootKeys: readonly KeyObject[];
  log: Logger;
}

/** What came of the key sets that this agent has met. */
export interface KeySetStats {
  taken: number;
  /** Not signed by the root key, or without sense. */
  refused: number;
  /** Of the held one's version, and another one all the same. */
  conflicting: number;
  older: number;
  /** A kept one that could not be read at the start. */
  damaged: number;
}

/** The newest key set that this agent has seen, over restarts. An older one is never taken. */
export class KeptKeySet {
  readonly stats: KeySetStats = { taken: 0, refused: 0, conflicting: 0, older: 0, damaged: 0 };
  readonly #options: KeptKeySetOptions;
  readonly #path: string;
  readonly #file: KeptFile;
  /** By hash: each is judged, counted and logged once. */
  readonly #judged = new Set<string>();

  constructor(options: KeptKeySetOptions) {
    this.#options = options;
    this.#path = path.join(options.dataDir, "key-set");
    this.#file = new KeptFile({ file: this.#path, what: "key set", log: options.log });
  }

  /** Of the set that holds; 0 while there is none. */
  get version(): number {
    return this.#options.trust.version;
  }

  /**
   * Reads what an earlier agent kept. If that is no key set of this root key's, keys that the command
   * line names may be long revoked: none is gone by until there is a key set again, of any version. To
   * bring that about takes somebody who writes to the data directory, and who could put another root
   * key there as well.
   */
  async load(): Promise<void> {
    const { trust, rootKeys, log } = this.#options;
    const kept = await readIfThere(this.#path);
    if (kept === undefined) return;
    try {
      trust.take(verifyKeySet(kept, rootKeys));
    } catch (error) {
      if (!(error instanceof KeySetRefusedError)) throw error;
      // It stays where it is: after another start there would be none, and nothing to be wary of.
      this.stats.damaged += 1;
      trust.distrust();
      log.error(
        { err: error, file: this.#path },
        "the kept key set is of no use: no key is trusted until another key set comes",
      );
    }
  }

  /**
   * Takes a key set if it is signed by the root key and newer; it holds at once. The answer is the set
   * if it is the fleet's, whichever holds.
   * @param from - Where it was found, for the log.
   */
  offer(value: Uint8Array, from: string): VerifiedKeySet | undefined {
    const { trust, rootKeys, log } = this.#options;
    let set: VerifiedKeySet;
    try {
      set = verifyKeySet(value, rootKeys);
    } catch (error) {
      if (!(error instanceof KeySetRefusedError)) throw error;
      if (this.#isNews(value)) {
        this.stats.refused += 1;
        log.error({ err: error, from }, "key set ignored");
      }
      return undefined;
    }
    const { version, goalKeys, membershipKeys, revokedKeyIds } = set;
    const about = {
      from,
      version,
      goalKeys: goalKeys.map(({ keyId }) => keyId),
      membershipKeys: membershipKeys.map(({ keyId }) => keyId),
      revokedKeys: revokedKeyIds.size,
    };
    const taken = trust.take(set);
    if (taken === "taken") {
      this.stats.taken += 1;
      this.#file.put(set.signed);
      log.info(about, "key set taken");
    } else if (taken === "conflicting" && this.#isNews(value)) {
      this.stats.conflicting += 1;
      log.error(
        about,
        "two key sets of one version are signed by the root key: the first one holds; sign another with a higher version",
      );
    } else if (taken === "older" && this.#isNews(value)) {
      this.stats.older += 1;
      log.warn({ ...about, held: trust.version }, "older key set ignored");
    }
    return set;
  }

  stop(): Promise<void> {
    return this.#file.stop();
  }

  #isNews(value: Uint8Array): boolean {
    const hash = createHash("sha256").update(value).digest("hex");
    if (this.#judged.has(hash)) return false;
    if (this.#judged.size >= REFUSED_MAX) this.#judged.clear();
    this.#judged.add(hash);
    return true;
  }
}
