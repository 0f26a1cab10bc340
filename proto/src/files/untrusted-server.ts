/** How Node says that no authority which it was given has signed a certificate. */
const UNSIGNED = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
]);

/**
 * Why a NATS server could not be connected to, if it is for its certificate or the lack of one, and
 * what to do: one line. Undefined for everything else.
 * @param at.servers where they are
 * @param at.caFile what --nats-ca named, if anything
 */
export function explainUntrusted(
  error: unknown,
  { servers, caFile }: { servers: readonly string[]; caFile: string | undefined },
): string | undefined {
  const { code, message = "" } = error as { code?: unknown; message?: string };
  const server = `the NATS server at ${servers.join(", ")}`;
  if (typeof code !== "string") return undefined;
  if (UNSIGNED.has(code)) {
    return caFile === undefined
      ? `${server} has a certificate that is not trusted (${code}): name who signed it in --nats-ca`
      : `${server} has a certificate that --nats-ca ${caFile} did not sign (${code}): name there the ` +
          "certificate of the authority that did, such as the ca.crt of init";
  }
  switch (code) {
    case "CERT_HAS_EXPIRED":
      return `${server} has a certificate that has ended: give it another one, and reload it`;
    case "CERT_NOT_YET_VALID":
      return `${server} has a certificate that does not hold yet: look at the clocks of both`;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `${server} has a certificate for other names (${message}): make one for the name that it is called by`;
    case "SERVER_OPT_NA":
      return caFile === undefined
        ? undefined
        : `${server} offers no TLS, which --nats-ca ${caFile} asks for: configure it there, or leave --nats-ca out`;
    default:
      return undefined;
  }
}
