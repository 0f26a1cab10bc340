import { unary, type RequestOf, type ResponseOf } from "@slipway/proto";

/** Calls a client's method with a deadline that a test would notice. */
export function call<Client extends object, Name extends keyof Client>(
  client: Client,
  name: Name,
  request: RequestOf<Client[Name]>,
): Promise<ResponseOf<Client[Name]>> {
  return unary(client, name, request, { timeoutMs: 10_000 });
}
