import { Channel, Client, connectivityState, credentials, InterceptingCall } from "@grpc/grpc-js";
import type { ChannelCredentials, ChannelOptions, Interceptor } from "@grpc/grpc-js";
import { getTokenEnd, GRPC_MAX_MESSAGE_BYTES } from "@slipway/proto";
import { isLoopback, type Address } from "./address.js";
import type { ResolvedOptions, TlsOptions } from "./options.js";

/** One coordinator, over one connection. */
interface Endpoint {
  /** For messages. */
  address: string;
  client: Client;
  isConnected(): boolean;
  close(): void;
}

/** All coordinators that a client knows, of which it uses one at a time. */
export interface Endpoints {
  current(): Endpoint;
  /** The next one is current now, unless that changed already. */
  failed(endpoint: Endpoint): void;
  close(): void;
}

/** Connects to nothing yet: grpc-js does at the first call. */
export function openEndpoints(options: ResolvedOptions): Endpoints {
  const opened = new Map<number, Endpoint>();
  let index = 0;
  const current = (): Endpoint => {
    let endpoint = opened.get(index);
    if (endpoint === undefined) {
      endpoint = openEndpoint(options.addresses[index]!, options);
      opened.set(index, endpoint);
    }
    return endpoint;
  };
  return {
    current,
    failed: (endpoint) => {
      if (opened.get(index) === endpoint) index = (index + 1) % options.addresses.length;
    },
    close: () => {
      for (const endpoint of opened.values()) endpoint.close();
      opened.clear();
    },
  };
}

function openEndpoint(
  address: Address,
  { tls, onTokenExpireTime }: Pick<ResolvedOptions, "tls" | "onTokenExpireTime">,
): Endpoint {
  const channelOptions: ChannelOptions = {
    // A connection that died without a word is noticed within 20 s, while calls are open.
    "grpc.keepalive_time_ms": 15_000,
    "grpc.keepalive_timeout_ms": 5_000,
    // The retry policy decides when to try again; the channel must not be slower than it.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    // Retries are made above the channel, where it is known which calls are safe to repeat.
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": GRPC_MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": GRPC_MAX_MESSAGE_BYTES,
    // No proxy of the environment's can reach this machine's loopback.
    "grpc.enable_http_proxy": isLoopback(address) ? 0 : 1,
    ...(tls?.serverName === undefined ? {} : { "grpc.ssl_target_name_override": tls.serverName }),
  };
  const channelCredentials = toCredentials(tls);
  const channel = new Channel(`dns:${address.text}`, channelCredentials, channelOptions);
  return {
    address: address.text,
    client: new Client(address.text, channelCredentials, {
      channelOverride: channel,
      interceptors: [hearTokenEnd(onTokenExpireTime)],
    }),
    isConnected: () => channel.getConnectivityState(false) === connectivityState.READY,
    close: () => channel.close(),
  };
}

/** What the headers of an answer say of the token that the call was made with. */
function hearTokenEnd(tell: (expireTime: Date) => void): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (sent, _listener, next) =>
        next(sent, {
          onReceiveMetadata: (metadata, pass) => {
            const expireTime = getTokenEnd(metadata);
            if (expireTime !== undefined) tell(expireTime);
            pass(metadata);
          },
        }),
    });
}

function toCredentials(tls: TlsOptions | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { rootCertificates = null, privateKey = null, certificateChain = null } = tls;
  return credentials.createSsl(rootCertificates, privateKey, certificateChain);
}
