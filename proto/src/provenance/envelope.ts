import { printable, ProvenanceRefusedError } from "./refused.js";

const MAX_SIGNATURES = 8;
/** Standard or URL-safe, as DSSE allows both. */
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** A DSSE envelope: https://github.com/secure-systems-lab/dsse, version 1.0. */
export interface Envelope {
  payloadType: string;
  payload: Buffer;
  signatures: readonly {
    /** Only a hint; may be empty. */
    keyId: string;
    signature: Buffer;
  }[];
}

/** What is signed of an envelope: DSSE's pre-authentication encoding. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType);
  const head = `DSSEv1 ${type.length} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** As the JSON that other tools read. */
export function encodeEnvelope({ payloadType, payload, signatures }: Envelope): Buffer {
  const json = {
    payloadType,
    payload: payload.toString("base64"),
    signatures: signatures.map(({ keyId, signature }) => ({
      keyid: keyId,
      sig: signature.toString("base64"),
    })),
  };
  return Buffer.from(JSON.stringify(json));
}

/** Fields that DSSE does not know are ignored. @throws ProvenanceRefusedError "malformed" */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const { payloadType, payload, signatures } = parseObject(bytes, "envelope");
  if (typeof payloadType !== "string") throw malformed("the envelope has no payloadType");
  if (!Array.isArray(signatures) || signatures.length === 0) {
    throw malformed("the envelope is not signed");
  }
  if (signatures.length > MAX_SIGNATURES) {
    throw malformed(`the envelope has more than ${MAX_SIGNATURES} signatures`);
  }
  return {
    payloadType,
    payload: fromBase64(payload, "payload"),
    signatures: signatures.map((one: unknown) => {
      const { keyid = "", sig } = isObject(one) ? one : {};
      if (typeof keyid !== "string") throw malformed("a signature's keyid is no text");
      return { keyId: keyid, signature: fromBase64(sig, "signature") };
    }),
  };
}

/** A JSON object in UTF-8. @throws ProvenanceRefusedError "malformed" */
export function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw malformed(`the ${what} is no JSON`, error);
  }
  if (isObject(value)) return value;
  throw malformed(`the ${what} is no JSON object, but ${printable(value)}`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(message: string, cause?: unknown): ProvenanceRefusedError {
  return new ProvenanceRefusedError("malformed", message, cause === undefined ? {} : { cause });
}

function fromBase64(text: unknown, what: string): Buffer {
  if (typeof text === "string" && text !== "" && BASE64.test(text)) {
    return Buffer.from(text, "base64");
  }
  throw malformed(`the envelope's ${what} is not in base64`);
}
