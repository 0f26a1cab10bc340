import { Client, credentials, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { getErrorDetails } from "@slipway/proto";
import type { Knex } from "knex";
import type { Role } from "../../src/auth/identity.js";
import { createToken, type TokenTerms } from "../../src/auth/token-store.js";

/** Makes a token on the database. Answers its id and its text. */
export async function makeToken(
  db: Knex,
  role: Role,
  terms: Partial<TokenTerms> = {},
): Promise<{ id: string; text: string }> {
  const { token, text } = await createToken(
    db,
    {
      name: `the ${role}`,
      role,
      applications: [],
      region: "",
      subject: "",
      memberRole: role === "enrol" ? "HOST" : null,
      maxUses: 0,
      allowRejoin: false,
      expireTime: new Date(Date.now() + 3_600_000),
      ...terms,
    },
    { actor: "a test", reason: "" },
  );
  return { id: token.id, text };
}

export function bearer(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

/** How a call ended. */
export interface Ending {
  code: keyof typeof status;
  reason: string;
  message: string;
  retryDelayMs: number | undefined;
}

const bytes = (value: Buffer): Buffer => value;

interface AnyMethod {
  path: string;
  requestStream: boolean;
  responseStream: boolean;
}

/** Calls any method with a message of no bytes, and waits until it ends. */
export async function callEmpty(
  address: string,
  { path, requestStream, responseStream }: AnyMethod,
  token: string | undefined,
): Promise<Ending> {
  const client = new Client(address, credentials.createInsecure());
  const empty = Buffer.alloc(0);
  const metadata = bearer(token);
  const options = { deadline: Date.now() + 10_000 };
  try {
    return endingOf(
      await new Promise<ServiceError | null>((resolve) => {
        if (!responseStream) {
          client.makeUnaryRequest(path, bytes, bytes, empty, metadata, options, (error) =>
            resolve(error),
          );
          return;
        }
        const bidi = requestStream
          ? client.makeBidiStreamRequest(path, bytes, bytes, metadata, options)
          : undefined;
        const call =
          bidi ?? client.makeServerStreamRequest(path, bytes, bytes, empty, metadata, options);
        call.on("error", resolve);
        call.on("end", () => resolve(null));
        call.resume();
        bidi?.end();
      }),
    );
  } finally {
    client.close();
  }
}

export function endingOf(error: unknown): Ending {
  if (error === null || error === undefined) {
    return { code: "OK", reason: "", message: "", retryDelayMs: undefined };
  }
  const { code, details, metadata } = error as ServiceError;
  const { reason = "", retryDelayMs } = getErrorDetails(metadata) ?? {};
  return { code: status[code] as keyof typeof status, reason, message: details, retryDelayMs };
}
