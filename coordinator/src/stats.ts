import type { KeyUse, SignerFailure } from "./keys/signer.js";
import type { Backlog } from "./queue/queue.js";
import type { DeploymentEvent } from "./rollout/deployment-event.js";

/** How often each of a few kinds of things happened here, since the coordinator started. */
class Tally<Kind extends string> {
  readonly #counts: Record<Kind, number>;

  /** Of these kinds, all of which are told from the start, as 0. */
  constructor(kinds: readonly Kind[]) {
    this.#counts = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>;
  }

  add(kind: Kind, by = 1): void {
    this.#counts[kind] += by;
  }

  get counts(): Readonly<Record<Kind, number>> {
    return this.#counts;
  }
}

const ROLLOUT_EVENTS: Record<DeploymentEvent["type"] | "created", true> = {
  created: true,
  blocked: true,
  staged: true,
  raised: true,
  switched: true,
  baked: true,
  failed: true,
  paused: true,
  resumed: true,
  accepted: true,
  returned: true,
  promoted: true,
  aborted: true,
  superseded: true,
};

const SIGNATURE_RESULTS = [
  "signed",
  "failed",
  "timed_out",
  "malformed",
  "mismatched",
  "full",
  "not_held",
  "stopped",
] as const;

/** What this coordinator counts for its metrics. Names and labels have bounds: no ids, no names. */
export class Stats {
  /** Answers of the queue; see CountedQueue. */
  readonly builds = new Tally([
    "submitted",
    "merged",
    "cancelled",
    "leased",
    "released",
    "succeeded",
    "failed",
    "handed_back",
    "lost",
    "rescued",
    "given_up",
    "refused",
  ]);
  /** Steps and decisions of deployments that this coordinator wrote. */
  readonly rollout = new Tally(Object.keys(ROLLOUT_EVENTS) as (keyof typeof ROLLOUT_EVENTS)[]);
  /** Attempts to tell hooks. */
  readonly notifications = new Tally(["delivered", "failed", "given_up"]);
  /** Writes to the global goals bucket; a conflict is read and tried again. */
  readonly goalWrites = new Tally(["written", "conflict"]);
  /** What was found in that bucket that no coordinator signed, or that cannot be read. */
  readonly nonsense = new Tally(["goal", "revocations", "key_set"]);
  /** What became of signatures that were asked for, by key. */
  readonly signatures: Readonly<Record<KeyUse, Tally<SignerFailure | "signed">>> = {
    goal: new Tally(SIGNATURE_RESULTS),
    membership: new Tally(SIGNATURE_RESULTS),
  };
  /** Hosts that were not enrolled: they were decommissioned, or are another region's. */
  readonly enrolments = new Tally(["skipped", "other_region"]);
  /** Calls that were not let in, by why. */
  readonly authFailures = new Tally([
    "missing",
    "malformed",
    "unknown",
    "revoked",
    "expired",
    "unproved",
    "limited",
    "role",
    "scope",
  ]);
  /**
   * Connections that were closed: no more may be open, in all ("full") or of one address; there were
   * too many new ones ("rate"); or nobody was let in over it, in time ("silent"), before others came
   * ("crowded"), or before too much was sent ("bytes").
   */
  readonly connections = new Tally(["full", "address_full", "rate", "silent", "crowded", "bytes"]);
  /** Calls that ended, by method and then gRPC status. */
  readonly calls = new Map<string, Map<string, number>>();
  /** Streams that are open now, by method. */
  readonly streams = new Map<string, number>();

  /** When the certificate ends that callers are shown; undefined without TLS. */
  certificateExpireTime: (() => Date) | undefined;
  /** Of the queue, as the rescuer read it a few seconds ago; undefined if it could not. */
  backlog: Backlog | undefined;
  /** This coordinator leads deployments. */
  leads = false;

  callEnded(method: string, code: string): void {
    const codes = this.calls.get(method) ?? new Map<string, number>();
    this.calls.set(method, codes.set(code, (codes.get(code) ?? 0) + 1));
  }

  streamOpened(method: string): void {
    this.streams.set(method, (this.streams.get(method) ?? 0) + 1);
  }

  streamEnded(method: string): void {
    this.streams.set(method, (this.streams.get(method) ?? 0) - 1);
  }
}
