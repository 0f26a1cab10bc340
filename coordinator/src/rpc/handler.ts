import {
  status,
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { setTokenEnd } from "@slipway/proto";
import type { Admission } from "../auth/admission.js";
import type { Identity } from "../auth/identity.js";
import type { Rule } from "../auth/rules.js";
import type { Context } from "../context.js";
import { DomainError } from "../errors.js";
import type { ActiveCalls } from "./calls.js";
import { Responses, type StreamingCall } from "./responses.js";
import { toCallError } from "./status.js";

/** How long an error waits for the responses before it. */
const FLUSH_TIMEOUT_MS = 1_000;

/** What a method gets beside its request. */
export interface CallInfo {
  /** Aborted when the caller cancels, its deadline passes, or this coordinator stops. */
  signal: AbortSignal;
  metadata: Metadata;
  /** Address of the caller. */
  peer: string;
  /** Who calls, by its token. */
  identity: Identity;
}

/** A response, or its bytes if they were encoded once for many streams. */
export type Outgoing<Response> = Response | Buffer;

export type UnaryMethod<C, Request, Response> = (
  context: C,
  request: Request,
  call: CallInfo,
) => Promise<Response>;

/** The stream ends when the iterable does; it is read no faster than the caller reads. */
export type StreamMethod<C, Request, Response> = (
  context: C,
  request: Request,
  call: CallInfo,
) => AsyncIterable<Outgoing<Response>>;

/**
 * Writes its responses itself, at most while there is room; the stream ends when it resolves. For
 * what thousands wait on.
 */
export type PushMethod<C, Request, Response> = (
  context: C,
  request: Request,
  call: CallInfo,
  responses: Responses<Outgoing<Response>>,
) => Promise<void>;

/** Both ways. The requests end when the caller half-closes, and throw when the call is cut off. */
export type BidiMethod<C, Request, Response> = (
  context: C,
  requests: AsyncIterable<Request>,
  call: CallInfo,
) => AsyncIterable<Outgoing<Response>>;

/** A service as grpc-js takes it. */
export interface ServiceEntry {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

const rules = new WeakMap<object, Rule<never>>();

/** Who may call what a handler serves; undefined for a function that Handlers did not make. */
export function ruleOf(handler: object): Rule<never> | undefined {
  return rules.get(handler);
}

function ruled<Handler extends object>(rule: Rule<never>, handler: Handler): Handler {
  rules.set(handler, rule);
  return handler;
}

/**
 * Turns methods into grpc-js handlers: who may call them, errors, cancelling, backpressure, logging.
 */
export class Handlers {
  readonly #context: Context;
  readonly #calls: ActiveCalls;
  readonly #admission: Admission;

  constructor(context: Context, calls: ActiveCalls, admission: Admission) {
    this.#context = context;
    this.#calls = calls;
    this.#admission = admission;
  }

  unary<Request, Response>(
    rule: Rule<Request>,
    run: UnaryMethod<Context, Request, Response>,
  ): handleUnaryCall<Request, Response> {
    return ruled<handleUnaryCall<Request, Response>>(rule, (call, callback) => {
      const active = this.#calls.begin("unary");
      call.on("cancelled", () => active.abort(cancelled()));
      const { metadata, request } = call;
      const peer = call.getPeer();
      const started = this.#context.clock.now();
      const asked = { method: call.getPath(), metadata, peer, request };
      const answer = async (): Promise<void> => {
        let identity: Identity | undefined;
        try {
          const admitted = this.#admission.admit(rule, asked);
          identity = admitted instanceof Promise ? await admitted : admitted;
          // Who gave up has asked somebody else since, and goes by that answer.
          active.signal.throwIfAborted();
          const info = { signal: active.signal, metadata, peer, identity };
          const response = await run(this.#context, request, info);
          this.#ended(call.getPath(), started, status.OK);
          tellTokenEnd(call, identity);
          callback(null, response);
        } catch (error) {
          this.#admission.failed(rule, asked, error, identity);
          const callError = toCallError(error, this.#context.log);
          this.#ended(call.getPath(), started, callError.code, callError.details);
          callback(callError);
        } finally {
          active.end();
        }
      };
      void answer();
    });
  }

  stream<Request, Response>(
    rule: Rule<Request>,
    run: StreamMethod<Context, Request, Response>,
  ): handleServerStreamingCall<Request, Response> {
    return ruled<handleServerStreamingCall<Request, Response>>(rule, (call) => {
      const { request } = call;
      void this.#serve(rule, request, call, (info, responses) =>
        this.#pump(run(this.#context, request, info), info, responses),
      );
    });
  }

  pushed<Request, Response>(
    rule: Rule<Request>,
    run: PushMethod<Context, Request, Response>,
  ): handleServerStreamingCall<Request, Response> {
    return ruled<handleServerStreamingCall<Request, Response>>(rule, (call) => {
      const { request } = call;
      void this.#serve(rule, request, call, (info, responses) =>
        run(this.#context, request, info, responses),
      );
    });
  }

  /** The rule can't speak of requests: the method checks what they name. */
  bidi<Request, Response>(
    rule: Rule<undefined>,
    run: BidiMethod<Context, Request, Response>,
  ): handleBidiStreamingCall<Request, Response> {
    return ruled<handleBidiStreamingCall<Request, Response>>(rule, (call) => {
      const requests = { [Symbol.asyncIterator]: () => call.iterator({ destroyOnReturn: false }) };
      void this.#serve(rule, undefined, call, (info, responses) =>
        this.#pump(run(this.#context, requests, info), info, responses),
      );
    });
  }

  /** Ends at once when the call is over, even if the method is stuck in a wait. */
  async #pump<Response>(
    items: AsyncIterable<Outgoing<Response>>,
    { signal }: CallInfo,
    responses: Responses<Outgoing<Response>>,
  ): Promise<void> {
    for await (const response of untilAborted(items, signal, this.#context)) {
      await responses.write(response, signal);
    }
  }

  async #serve<Asked, Request, Response>(
    rule: Rule<Asked>,
    request: Asked,
    call: StreamingCall<Request, Response>,
    run: (info: CallInfo, responses: Responses<Outgoing<Response>>) => Promise<void>,
  ): Promise<void> {
    const active = this.#calls.begin("stream");
    const method = call.getPath();
    this.#context.stats.streamOpened(method);
    call.on("cancelled", () => active.abort(cancelled()));
    const { metadata } = call;
    const peer = call.getPeer();
    const started = this.#context.clock.now();
    // Buffers pass: the services' serialisers take bytes as well (see services.ts).
    const responses = new Responses<Outgoing<Response>>(call);
    const asked = { method, metadata, peer, request };
    let unfollow: (() => void) | undefined;
    let identity: Identity | undefined;
    try {
      const admitted = this.#admission.admit(rule, asked);
      identity = admitted instanceof Promise ? await admitted : admitted;
      // At once: a stream may have nothing to say for long, and who calls is to know that it is there.
      call.sendMetadata(withTokenEnd(identity.expireTime));
      unfollow = this.#admission.follow(identity, (error) => active.abort(error));
      const info = { signal: active.signal, metadata, peer, identity };
      await run(info, responses);
      this.#ended(method, started, status.OK);
      call.end();
    } catch (error) {
      const reason: unknown = active.signal.aborted ? active.signal.reason : error;
      this.#admission.failed(rule, asked, reason, identity);
      const callError = toCallError(reason, this.#context.log);
      this.#ended(method, started, callError.code, callError.details);
      await responses.flushed(FLUSH_TIMEOUT_MS);
      if (!call.destroyed) call.emit("error", callError);
    } finally {
      unfollow?.();
      this.#context.stats.streamEnded(method);
      active.end();
    }
  }

  #ended(method: string, started: number, code: status, message?: string): void {
    const ms = this.#context.clock.now() - started;
    this.#context.stats.callEnded(method, status[code]);
    this.#context.log.debug({ method, code: status[code], ms, message }, "call ended");
  }
}

/**
 * Ends an iteration at once when the call is over, even if the method is stuck in a wait. No
 * generator: thousands of streams that wait would each keep one more, and go through it each time.
 */
function untilAborted<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal,
  context: Context,
): AsyncIterable<T> {
  const iterator = items[Symbol.asyncIterator]();
  let isOver = false;
  const end = (isDone: boolean): void => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", abort);
    if (isDone) return;
    // Not waited for: a method that hangs must not keep the call.
    iterator.return?.().catch((error: unknown) => {
      if (error !== signal.reason) context.log.warn({ err: error }, "a stream's clean-up failed");
    });
  };
  // Of the present step: a promise for the whole call would keep something of every step that was
  // raced against it, until the call ends.
  let interrupt: ((reason: Error) => void) | undefined;
  const abort = (): void => {
    end(false);
    interrupt?.(signal.reason as Error);
  };
  signal.addEventListener("abort", abort, { once: true });
  const next = (): Promise<IteratorResult<T>> =>
    new Promise((resolve, reject) => {
      interrupt = reject;
      if (signal.aborted) return abort();
      iterator.next().then(
        (result) => {
          if (result.done === true) end(true);
          resolve(result);
        },
        (error: unknown) => {
          end(!signal.aborted);
          reject(error);
        },
      );
    });
  const leave = (): Promise<IteratorResult<T>> => {
    end(false);
    return Promise.resolve({ done: true, value: undefined });
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
}

/** Callers may warn of it, and be given another token in time. */
function tellTokenEnd(
  call: { sendMetadata: (metadata: Metadata) => void },
  { expireTime }: Identity,
): void {
  if (expireTime !== undefined) call.sendMetadata(withTokenEnd(expireTime));
}

function withTokenEnd(expireTime: Date | undefined): Metadata {
  const metadata = new Metadata();
  if (expireTime !== undefined) setTokenEnd(metadata, expireTime);
  return metadata;
}

function cancelled(): Error {
  return new DomainError(status.CANCELLED, "the call was cancelled", { reason: "CANCELLED" });
}
