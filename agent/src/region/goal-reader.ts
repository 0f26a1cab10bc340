import { GOAL_DIGEST_KEY, KEY_SET_KEY, REVOCATIONS_KEY } from "@slipway/proto";
import { GoalRefusedError, verifyGoal } from "../host/verify-goal.js";
import type { Logger } from "../log.js";
import type { GoalKeys } from "../trust/trusted-keys.js";
import type { MirrorEntry } from "./kv-mirror.js";
import { GoalValueError, readGlobalGoal, readRegionalGoal, type RegionGoal } from "./plan-goals.js";

const OTHER_KEYS: ReadonlySet<string> = new Set([GOAL_DIGEST_KEY, KEY_SET_KEY, REVOCATIONS_KEY]);

type Entries = ReadonlyMap<string, MirrorEntry> | undefined;

interface GoalReaderOptions {
  region: string;
  keys?: GoalKeys | undefined;
  log: Logger;
}

/**
 * Reads each value of the goal buckets once for each change of the keys that goals are checked by; one
 * that is not to be used is logged, once, and left out.
 */
export class GoalReader {
  readonly stats = { malformed: 0, refused: 0 };
  readonly #options: GoalReaderOptions;
  /** By the value as it came. */
  #read = new WeakMap<Uint8Array, RegionGoal | undefined>();
  /** Of the keys, when `#read` was filled. */
  #epoch = "";

  constructor(options: GoalReaderOptions) {
    this.#options = options;
  }

  readGlobal(entries: Entries): Map<string, RegionGoal> {
    return this.#readAll(entries, "global", readGlobalGoal);
  }

  readRegional(entries: Entries): Map<string, RegionGoal> {
    return this.#readAll(entries, "regional", readRegionalGoal);
  }

  #readAll(
    entries: Entries,
    bucket: string,
    parse: (key: string, value: Uint8Array, region: string) => RegionGoal | undefined,
  ): Map<string, RegionGoal> {
    const goals = new Map<string, RegionGoal>();
    const epoch = this.#options.keys?.epoch ?? "";
    if (epoch !== this.#epoch) this.#read = new WeakMap();
    this.#epoch = epoch;
    for (const [key, { value, revision }] of entries ?? []) {
      if (OTHER_KEYS.has(key)) continue;
      if (!this.#read.has(value)) {
        this.#read.set(
          value,
          this.#check(`${bucket}/${key}/${revision}`, () =>
            parse(key, value, this.#options.region),
          ),
        );
      }
      const goal = this.#read.get(value);
      if (goal !== undefined) goals.set(key, goal);
    }
    return goals;
  }

  #check(value: string, parse: () => RegionGoal | undefined): RegionGoal | undefined {
    const { region, keys, log } = this.#options;
    try {
      const read = parse();
      if (read !== undefined && keys !== undefined) {
        verifyGoal(read.signed, { application: read.goal.application, region, keys });
      }
      return read;
    } catch (error) {
      if (error instanceof GoalValueError) {
        this.stats.malformed += 1;
        log.error({ err: error, value }, "malformed goal ignored");
      } else if (error instanceof GoalRefusedError) {
        this.stats.refused += 1;
        log.error({ err: error, value }, "goal that the fleet did not sign ignored");
      } else {
        throw error;
      }
      return undefined;
    }
  }
}
