/** A clock that jumps from one event to the next. */
export class VirtualClock {
  now = 0;
  /** A binary heap by time, then by the order in which events were set. */
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #events: (() => void)[] = [];
  #order = 0;

  in(ms: number, event: () => void): void {
    this.at(this.now + ms, event);
  }

  at(time: number, event: () => void): void {
    const order = this.#order++;
    let place = this.#times.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if ((this.#times[parent] ?? 0) <= time) break;
      this.#move(parent, place);
      place = parent;
    }
    this.#set(place, time, order, event);
  }

  /** Runs events until there are none, or it is told to stop, or the time is over. */
  run(until: number, stop: () => boolean): void {
    while (this.#times.length > 0 && !stop()) {
      const event = this.#pop(until);
      if (event === undefined) return;
      event();
    }
  }

  #pop(until: number): (() => void) | undefined {
    const [time = 0] = this.#times;
    const [event] = this.#events;
    if (time > until) return undefined;
    this.now = time;
    const lastTime = this.#times.pop() ?? 0;
    const lastOrder = this.#orders.pop() ?? 0;
    const lastEvent = this.#events.pop();
    const size = this.#times.length;
    if (size > 0 && lastEvent !== undefined) {
      let place = 0;
      for (;;) {
        let child = place * 2 + 1;
        if (child >= size) break;
        if (child + 1 < size && this.#before(child + 1, child)) child++;
        const childTime = this.#times[child] ?? 0;
        const childOrder = this.#orders[child] ?? 0;
        if (childTime > lastTime || (childTime === lastTime && childOrder > lastOrder)) break;
        this.#move(child, place);
        place = child;
      }
      this.#set(place, lastTime, lastOrder, lastEvent);
    }
    return event;
  }

  #before(a: number, b: number): boolean {
    const at = this.#times[a] ?? 0;
    const bt = this.#times[b] ?? 0;
    return at < bt || (at === bt && (this.#orders[a] ?? 0) < (this.#orders[b] ?? 0));
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from] ?? 0, this.#orders[from] ?? 0, this.#events[from] ?? nothing);
  }

  #set(place: number, time: number, order: number, event: () => void): void {
    this.#times[place] = time;
    this.#orders[place] = order;
    this.#events[place] = event;
  }
}

function nothing(): void {}
