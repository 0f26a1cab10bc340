import { checkServerIdentity, type PeerCertificate } from "node:tls";

/** What a NATS client is to be told of TLS, and what it saw of the server's certificate. */
export class ShownCertificate {
  /** Of the server that was connected to last; undefined before the first, and without TLS. */
  expireTime: Date | undefined;

  /** For the client's `tls`. */
  options(caFile: string): {
    caFile: string;
    checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
  } {
    return {
      caFile,
      // Called for each certificate that an authority has signed, at each connection.
      checkServerIdentity: (host, certificate) => {
        this.expireTime = new Date(certificate.valid_to);
        return checkServerIdentity(host, certificate);
      },
    };
  }
}
