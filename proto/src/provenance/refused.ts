/** What does not fit about a provenance; for programs. */
export type ProvenanceFault =
  /** There is none. */
  | "missing"
  /** Larger than PROVENANCE_MAX_BYTES. */
  | "oversized"
  /** Not what it should be made of. */
  | "malformed"
  /** The fleet does not know who signed it. */
  | "untrusted"
  /** The certificate is of another member, or of one that is no builder. */
  | "stranger"
  /** The certificate had ended. */
  | "expired"
  /** The certificate's key did not sign it. */
  | "forged"
  /** It is of another build, or of something else than the build made. */
  | "mismatch";

/** Says in one line why a provenance is not to be believed. */
export class ProvenanceRefusedError extends Error {
  override readonly name = "ProvenanceRefusedError";
  readonly fault: ProvenanceFault;

  constructor(fault: ProvenanceFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** Of somebody else's words, so much as belongs into a message. */
export function printable(value: unknown): string {
  const text = value === undefined ? "missing" : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
