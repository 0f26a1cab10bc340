import {
  ApplicationGoal,
  GLOBAL_GOALS_BUCKET,
  Goal,
  KEY_SET_KEY,
  RevocationList,
  REVOCATIONS_KEY,
  type SignedGoal,
  SignedRevocationList,
  type VerifiedKeySet,
  verifyKeySet,
} from "@slipway/proto";
import type { KV } from "nats";
import { until, type World } from "../rollout/world.js";

/** What a signature was put on, and whose it says it is. */
export interface Found<T> {
  keyId: string;
  content: T;
  signed: SignedGoal;
}

/** The global goal bucket, as everybody who reads it sees it. */
export class TestBucket {
  readonly #world: Pick<World, "nats">;

  constructor(world: Pick<World, "nats">) {
    this.#world = world;
  }

  async kv(): Promise<KV> {
    const views = this.#world.nats.jetstream({ timeout: 1_000 }).views;
    return views.kv(GLOBAL_GOALS_BUCKET, { bindOnly: true, timeout: 1_000 });
  }

  /** What a key holds; undefined if it is not there, or NATS or the bucket is not. */
  async value(key: string): Promise<Uint8Array | undefined> {
    try {
      const entry = await (await this.kv()).get(key);
      return entry?.operation === "PUT" ? entry.value : undefined;
    } catch {
      return undefined;
    }
  }

  /** The key set; its signature is not checked. */
  async keySet(): Promise<VerifiedKeySet | undefined> {
    const value = await this.value(KEY_SET_KEY);
    return value && verifyKeySet(value, undefined);
  }

  /** Waits until this version is published. */
  keySetOf(version: number): Promise<VerifiedKeySet> {
    return until(`key set ${version}`, async () => {
      const set = await this.keySet().catch(() => undefined);
      return set?.version === version && set;
    });
  }

  /** An application's goal for the eu region. */
  async goal(application: string): Promise<Found<Goal> | undefined> {
    const value = await this.value(application);
    const signed = value && ApplicationGoal.decode(value).regions["eu"];
    return signed && { keyId: signed.keyId, content: Goal.decode(signed.payload), signed };
  }

  /** Waits until an application's goal names this key. */
  goalBy(application: string, keyId: string): Promise<Found<Goal>> {
    return until(`a goal of ${application} by ${keyId}`, async () => {
      const goal = await this.goal(application);
      return goal?.keyId === keyId && goal;
    });
  }

  /** Waits until the list of revocations names this key, and these ids. */
  revocationsBy(keyId: string, ...ids: string[]): Promise<Found<RevocationList>> {
    return until(`revocations of ${ids.join()} by ${keyId}`, async () => {
      const value = await this.value(REVOCATIONS_KEY);
      const signed = value && SignedRevocationList.decode(value);
      if (signed?.keyId !== keyId) return undefined;
      const content = RevocationList.decode(signed.payload);
      const isThere = content.hostIds.toSorted().join() === ids.toSorted().join();
      return isThere && { keyId, content, signed };
    });
  }
}
