import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { Wake } from "./wake.js";

/** What can change. A queue event has an empty id; an artifact's id is its digest. */
export type EventKind = "queue" | "build" | "deployment" | "artifact" | "token" | "member";

export interface ChangeEvent {
  kind: EventKind;
  id: string;
}

/** Called with the id of what changed; undefined when anything may have. */
export type ChangeListener = (id: string | undefined) => void;

/** Waits for changes without losing one that came between two waits. See Wake. */
export interface ChangeWatch {
  next(options: { timeoutMs: number; signal: AbortSignal }): Promise<void>;
  close(): void;
}

/** Tells other coordinators; may be slow and may fail without harm, since everybody polls too. */
export type Broadcast = (events: readonly ChangeEvent[]) => Promise<void>;

const MAX_PENDING = 10_000;
/** After a batch for other coordinators: each is a transaction, and a busy queue would send hundreds a second. */
const BROADCAST_PAUSE_MS = 20;

/**
 * Signals that something in the database changed, so that whoever waits reads it again. A signal
 * carries no data, may come twice, and may be lost between coordinators: every waiter polls too.
 */
export class EventBus {
  readonly #log: Logger;
  readonly #listeners = new Map<EventKind, Set<ChangeListener>>();
  readonly #byId = new Map<string, Set<ChangeListener>>();
  #broadcast: Broadcast | undefined;
  #pending = new Map<string, ChangeEvent>();
  #sending = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Signals here at once, and to other coordinators with the next batch, some 20 ms apart. */
  publish(...events: readonly ChangeEvent[]): void {
    this.deliver(events);
    if (this.#broadcast === undefined) return;
    for (const event of events) {
      if (this.#pending.size < MAX_PENDING) this.#pending.set(`${event.kind} ${event.id}`, event);
    }
    void this.#flush();
  }

  /** Signals here only. */
  deliver(events: readonly ChangeEvent[]): void {
    for (const { kind, id } of events) {
      this.#call(this.#listeners.get(kind), id);
      this.#call(this.#byId.get(`${kind} ${id}`), id);
    }
  }

  /** Signals here that anything may have changed: signals of other coordinators may be lost. */
  deliverAll(): void {
    for (const listeners of this.#listeners.values()) this.#call(listeners, undefined);
    for (const listeners of this.#byId.values()) this.#call(listeners, undefined);
  }

  /** Calls the listener for every change of the kind, or of one id. Answers how to stop that. */
  subscribe(kind: EventKind, listener: ChangeListener, id?: string): () => void {
    if (id === undefined) return add(this.#listeners, kind, listener);
    return add(this.#byId, `${kind} ${id}`, listener);
  }

  /** Remembers that there was a change until somebody asks. The first `next` waits for one. */
  watch(kind: EventKind, id?: string): ChangeWatch {
    const wake = new Wake();
    const close = this.subscribe(kind, () => wake.signal(), id);
    return { next: (options) => wake.next(options), close };
  }

  /** Sets how other coordinators are told; undefined for nobody. */
  setBroadcast(broadcast: Broadcast | undefined): void {
    this.#broadcast = broadcast;
    if (broadcast === undefined) this.#pending.clear();
  }

  async #flush(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      // Whatever is published in the same turn, and soon after a batch, is one batch.
      await new Promise((resolve) => setImmediate(resolve));
      while (this.#pending.size > 0 && this.#broadcast !== undefined) {
        const events = [...this.#pending.values()];
        this.#pending = new Map();
        await this.#broadcast(events);
        await delay(BROADCAST_PAUSE_MS);
      }
    } catch (error) {
      this.#log.warn({ err: error }, "could not tell other coordinators of changes; they poll");
    } finally {
      this.#sending = false;
    }
  }

  #call(listeners: Set<ChangeListener> | undefined, id: string | undefined): void {
    for (const listener of listeners ?? []) {
      try {
        listener(id);
      } catch (error) {
        this.#log.error({ err: error }, "a change listener failed");
      }
    }
  }
}

function add<K>(map: Map<K, Set<ChangeListener>>, key: K, listener: ChangeListener): () => void {
  const listeners = map.get(key) ?? new Set();
  map.set(key, listeners.add(listener));
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && map.get(key) === listeners) map.delete(key);
  };
}
