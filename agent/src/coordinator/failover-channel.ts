import {
  Channel,
  connectivityState,
  type ChannelCredentials,
  type ChannelInterface,
  type ChannelOptions,
} from "@grpc/grpc-js";

type Deadline = Parameters<ChannelInterface["createCall"]>[1];

/** Several coordinators' addresses, with commas between. */
export function addressesOf(coordinator: string): string[] {
  return coordinator.split(",").map((address) => address.trim());
}

/** What a gRPC client is made with so that it calls whichever of the coordinators is there. */
export function channelOptions<T extends ChannelOptions>(
  coordinator: string,
  credentials: ChannelCredentials,
  options: T,
): T & { channelOverride?: ChannelInterface } {
  const addresses = addressesOf(coordinator);
  if (addresses.length === 1) return options;
  return { ...options, channelOverride: new FailoverChannel(addresses, credentials, options) };
}

/**
 * Calls one coordinator for as long as it can be reached, and the next one from then on. A call that
 * finds out that it can't be fails as ever; whoever tries it again reaches the next.
 */
class FailoverChannel implements ChannelInterface {
  readonly #channels: ChannelInterface[];
  #present: number;

  constructor(
    addresses: readonly string[],
    credentials: ChannelCredentials,
    options: ChannelOptions,
  ) {
    this.#channels = addresses.map((address) => new Channel(address, credentials, options));
    // Agents that all have the same list must not all call its first.
    this.#present = Math.floor(Math.random() * addresses.length);
  }

  createCall(
    method: string,
    deadline: Deadline,
    ...rest: [host: never, parent: never, flags: never]
  ): ReturnType<ChannelInterface["createCall"]> {
    return this.#reachable().createCall(method, deadline, ...rest);
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }

  getTarget(): string {
    return this.#now().getTarget();
  }

  getConnectivityState(tryToConnect: boolean): connectivityState {
    return this.#now().getConnectivityState(tryToConnect);
  }

  watchConnectivityState(
    state: connectivityState,
    deadline: Date | number,
    callback: (error?: Error) => void,
  ): void {
    this.#now().watchConnectivityState(state, deadline, callback);
  }

  getChannelzRef(): ReturnType<ChannelInterface["getChannelzRef"]> {
    return this.#now().getChannelzRef();
  }

  #now(): ChannelInterface {
    const channel = this.#channels[this.#present];
    if (channel === undefined) throw new Error("there is no coordinator to call");
    return channel;
  }

  /** The present one, unless connecting to it failed: then the next that did not, if there is one. */
  #reachable(): ChannelInterface {
    const count = this.#channels.length;
    for (let tried = 0; tried < count; tried += 1) {
      const at = (this.#present + tried) % count;
      const state = this.#channels[at]?.getConnectivityState(false);
      if (state === connectivityState.TRANSIENT_FAILURE) continue;
      this.#present = at;
      return this.#now();
    }
    // All failed lately, and are dialled again by themselves: the next in turn may be back first.
    this.#present = (this.#present + 1) % count;
    return this.#now();
  }
}
