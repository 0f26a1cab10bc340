import type { CallOptions, ClientUnaryCall, Metadata, ServiceError } from "@grpc/grpc-js";
import { Metadata as GrpcMetadata } from "@grpc/grpc-js";

/** A unary method of a generated grpc-js client. */
export type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** How long a unary call may take and what ends it sooner. */
export interface UnaryOptions {
  /** Milliseconds until DEADLINE_EXCEEDED. Waits for the server to be reachable meanwhile. */
  timeoutMs: number;
  /** Cancels the call: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  metadata?: Metadata | undefined;
}

/**
 * Calls a unary method of a generated client as a promise.
 * @throws ServiceError with the gRPC status, or the signal's reason.
 */
export function unary<Request, Response>(
  client: object,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: UnaryOptions,
): Promise<Response> {
  const { timeoutMs, signal, metadata = new GrpcMetadata() } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const deadline = new Date(Date.now() + timeoutMs);
    const call = method.call(client, request, metadata, { deadline }, (error, response) => {
      signal?.removeEventListener("abort", abort);
      if (signal?.aborted) reject(signal.reason as Error);
      else if (error) reject(error);
      else resolve(response);
    });
    const abort = (): void => call.cancel();
    signal?.addEventListener("abort", abort, { once: true });
  });
}
