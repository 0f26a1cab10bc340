import type { CallOptions, ClientUnaryCall, Metadata, ServiceError } from "@grpc/grpc-js";
import { Metadata as GrpcMetadata } from "@grpc/grpc-js";

/** A unary method of a generated grpc-js client. */
type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** What a client's method takes. */
export type RequestOf<Method> =
  Method extends UnaryMethod<infer Request, infer _Response> ? Request : never;
/** What a client's method answers. */
export type ResponseOf<Method> =
  Method extends UnaryMethod<infer _Request, infer Response> ? Response : never;

/** How long a unary call may take and what ends it sooner. */
export interface UnaryOptions {
  /** Milliseconds until DEADLINE_EXCEEDED. Waits for the server to be reachable meanwhile. */
  timeoutMs: number;
  /** Cancels the call: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  metadata?: Metadata | undefined;
}

/**
 * Calls a unary method of a generated client, by its name, as a promise.
 * @throws ServiceError with the gRPC status, or the signal's reason.
 */
export function unary<Client extends object, Name extends keyof Client>(
  client: Client,
  name: Name,
  request: RequestOf<Client[Name]>,
  options: UnaryOptions,
): Promise<ResponseOf<Client[Name]>> {
  const method = client[name] as UnaryMethod<typeof request, ResponseOf<Client[Name]>>;
  return asPromise((...rest) => method.call(client, request, ...rest), options);
}

/**
 * Makes a promise of a call that `start` makes with a callback.
 * @throws ServiceError with the gRPC status, or the signal's reason.
 */
export function asPromise<Response>(
  start: (
    metadata: Metadata,
    options: Partial<CallOptions>,
    callback: (error: ServiceError | null, response: Response) => void,
  ) => ClientUnaryCall,
  { timeoutMs, signal, metadata = new GrpcMetadata() }: UnaryOptions,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const deadline = new Date(Date.now() + timeoutMs);
    const call = start(metadata, { deadline }, (error, response) => {
      signal?.removeEventListener("abort", abort);
      if (signal?.aborted) reject(signal.reason as Error);
      else if (error) reject(error);
      else resolve(response);
    });
    const abort = (): void => call.cancel();
    signal?.addEventListener("abort", abort, { once: true });
  });
}
