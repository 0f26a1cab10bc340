import { setTimeout as delay } from "node:timers/promises";
import { Metadata } from "@grpc/grpc-js";
import { asPromise } from "@slipway/proto";
import { backoffMs } from "./backoff.js";
import { openEndpoints } from "./endpoints.js";
import { callFailure, clientClosed, noneReachable, unreachable } from "./errors.js";
import type { CallFailure, SlipwayError } from "./errors.js";
import { milliseconds, type CallOptions, type ResolvedOptions } from "./options.js";
import { openStream, type OpenStream } from "./stream.js";

/**
 * Which failures of a call may be tried again: all that may pass by themselves, or only those where
 * the request certainly never left.
 */
type Safety = "idempotent" | "once";

/** A method as the generated service definitions describe it. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** Makes calls: the one place that knows addresses, tokens, deadlines, retries and closing. */
export interface Caller {
  readonly options: ResolvedOptions;
  /** @throws SlipwayError, or the signal's reason. */
  unary<Request, Response>(
    method: Method<Request, Response>,
    safety: Safety,
    request: Request,
    options: CallOptions | undefined,
  ): Promise<Response>;
  /** Opens one stream on the present coordinator; nothing is retried. */
  stream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal | undefined,
    timeoutMs: number,
  ): Promise<OpenStream<Response>>;
  /** The error of a stream, after which the next coordinator's turn has come if it has to. */
  streamFailure(thrown: unknown, address: string, timeoutMs: number): SlipwayError;
  /** Waits before another try, and tells who wants to know. */
  pause(
    method: string,
    failures: number,
    error: SlipwayError,
    signal: AbortSignal | undefined,
  ): Promise<void>;
  /** Waits; ends early, by throwing, when the signal aborts or the client is closed. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
  close(): void;
}

/** A caller that has connected to nothing yet. */
export function createCaller(options: ResolvedOptions): Caller {
  const endpoints = openEndpoints(options);
  // Ends everything under way at close; one listener for each call under way.
  const cancels = new Set<() => void>();
  let closed = false;

  /** An abort signal of its own for one try, that follows the caller's and the client's end. */
  const begin = (
    signal: AbortSignal | undefined,
  ): { controller: AbortController; end: () => void } => {
    if (closed) throw clientClosed();
    signal?.throwIfAborted();
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    const onClose = (): void => controller.abort(clientClosed());
    signal?.addEventListener("abort", onAbort, { once: true });
    cancels.add(onClose);
    return {
      controller,
      end: () => {
        signal?.removeEventListener("abort", onAbort);
        cancels.delete(onClose);
      },
    };
  };

  const metadata = async (signal: AbortSignal, timeoutMs: number): Promise<Metadata> => {
    const result = new Metadata();
    const token = await within(options.token(), signal, timeoutMs);
    if (token !== undefined) result.set("authorization", `Bearer ${token}`);
    return result;
  };

  /** One try. Resolves with how it failed; throws only what ends the call whatever its safety. */
  const attempt = async <Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal | undefined,
    timeoutMs: number,
    wholeMs: number,
  ): Promise<{ response: Response } | (CallFailure & { address: string })> => {
    const endpoint = endpoints.current();
    const { client, address } = endpoint;
    const { path, requestSerialize, responseDeserialize } = method;
    const { controller, end } = begin(signal);
    const lost = unreachable(address, `no connection within ${options.connectTimeoutMs / 1000} s`);
    const timer = setTimeout(() => {
      if (!endpoint.isConnected()) controller.abort(lost);
    }, options.connectTimeoutMs);
    try {
      const sent = await metadata(controller.signal, timeoutMs);
      const response = await asPromise<Response>(
        (headers, callOptions, done) =>
          client.makeUnaryRequest(
            path,
            requestSerialize,
            responseDeserialize,
            request,
            headers,
            callOptions,
            (error, value) => done(error, value as Response),
          ),
        { timeoutMs, signal: controller.signal, metadata: sent },
      );
      return { response };
    } catch (thrown) {
      if (thrown === lost) {
        endpoints.failed(endpoint);
        return { error: lost, unsent: true, address };
      }
      controller.signal.throwIfAborted();
      const failure = callFailure(thrown, address, wholeMs);
      if (isUnreachable(failure.error)) endpoints.failed(endpoint);
      return { ...failure, address };
    } finally {
      clearTimeout(timer);
      end();
    }
  };

  const pause: Caller["pause"] = async (method, failures, error, signal) => {
    const usualMs = backoffMs(failures, options.retry, Math.random());
    const delayMs = Math.max(usualMs, error.retryAfterMs ?? 0);
    options.onRetry({ method, failures, delayMs, error });
    await sleep(delayMs, signal);
  };

  const sleep: Caller["sleep"] = async (ms, signal) => {
    const { controller, end } = begin(signal);
    try {
      await delay(ms, undefined, { signal: controller.signal });
    } catch (thrown) {
      controller.signal.throwIfAborted();
      throw thrown;
    } finally {
      end();
    }
  };

  return {
    options,
    unary: async (method, safety, request, callOptions = {}) => {
      const { signal } = callOptions;
      const timeoutMs = milliseconds("timeoutMs", callOptions.timeoutMs, options.timeoutMs);
      const deadline = performance.now() + timeoutMs;
      let said: SlipwayError | undefined;
      const away = new Map<string, SlipwayError>();
      for (let failures = 1; ; failures++) {
        const left = Math.max(1, deadline - performance.now());
        const result = await attempt(method, request, signal, left, timeoutMs);
        if ("response" in result) return result.response;
        const { unsent, address } = result;
        away.delete(address);
        if (isUnreachable(result.error)) away.set(address, result.error);
        // That one of several cannot be reached is half of what is to be known.
        const error = away.has(address)
          ? (noneReachable([...away.values()]) ?? result.error)
          : result.error;
        const safe = unsent || safety === "idempotent";
        const worthIt = error.retryable && error.code !== "DEADLINE_EXCEEDED";
        const longestPause = backoffMs(failures, options.retry, 1);
        const pauseMs = Math.max(longestPause, error.retryAfterMs ?? 0);
        const inTime = performance.now() + pauseMs < deadline;
        // What an earlier try was told says more than that this one was cut short.
        if (error.code === "DEADLINE_EXCEEDED" && said !== undefined) throw said;
        if (!safe || !worthIt || !inTime || failures >= options.retry.attempts) throw error;
        said = error;
        await pause(methodName(method), failures, error, signal);
      }
    },
    stream: async (method, request, signal, timeoutMs) => {
      const { client, address } = endpoints.current();
      const { path, requestSerialize, responseDeserialize } = method;
      const { controller, end } = begin(signal);
      try {
        const sent = await metadata(controller.signal, timeoutMs);
        const stream = client.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          sent,
        );
        return openStream(stream, address, controller.signal, end);
      } catch (thrown) {
        end();
        throw thrown;
      }
    },
    streamFailure: (thrown, address, timeoutMs) => {
      const { error } = callFailure(thrown, address, timeoutMs);
      const endpoint = endpoints.current();
      if (isUnreachable(error) && endpoint.address === address) endpoints.failed(endpoint);
      return error;
    },
    pause,
    sleep,
    close: () => {
      if (closed) return;
      closed = true;
      for (const cancel of cancels) cancel();
      endpoints.close();
    },
  };
}

/** "SubmitBuild" of "/slipway.v1.BuildService/SubmitBuild". */
export function methodName({ path }: { path: string }): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function isUnreachable(error: SlipwayError): boolean {
  return error.code === "UNAVAILABLE" || error.code === "DEADLINE_EXCEEDED";
}

/** A token in its time: the function that gives it is the user's, and may never answer. */
function within<T>(promise: Promise<T>, signal: AbortSignal, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      end();
      reject(new Error(`no token within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(end);
  });
}
