/** Why a certificate opens nothing. */
export type CertificateFault =
  | "no_certificate"
  /** By no membership key of this fleet. */
  | "not_signed"
  | "malformed"
  /** Stolen: the other end's key is another one than the certificate's. */
  | "other_key"
  | "other_region"
  | "wrong_role"
  | "expired";

/** Why something of a stranger's, or of a former member's, was refused: a metric's label. */
export type RefusalReason =
  | CertificateFault
  | "revoked"
  /** It said anything but a hello, or more than one. */
  | "no_hello"
  /** It did not say a hello in time. */
  | "late"
  /** Others came, and it had not said a hello. */
  | "crowded"
  /** Too many handshakes, of its address or in all. */
  | "handshake_rate"
  /** A handshake that was made before. */
  | "replayed"
  /** Too many requests to the DHT, of its address or in all. */
  | "dht_rate"
  /** A request that no member of a private DHT makes. */
  | "dht_request"
  /** A data connection that nobody was asked to make. */
  | "data_uninvited"
  /** Too many of them. */
  | "data_rate"
  /** One that did not prove in time that it is meant, or before others came. */
  | "data_late"
  | "data_crowded"
  /** One with another secret than was given. */
  | "data_secret";

const NONE: Readonly<Record<RefusalReason, 0>> = {
  no_certificate: 0,
  not_signed: 0,
  malformed: 0,
  other_key: 0,
  other_region: 0,
  wrong_role: 0,
  expired: 0,
  revoked: 0,
  no_hello: 0,
  late: 0,
  crowded: 0,
  handshake_rate: 0,
  replayed: 0,
  dht_rate: 0,
  dht_request: 0,
  data_uninvited: 0,
  data_rate: 0,
  data_late: 0,
  data_crowded: 0,
  data_secret: 0,
};

export const noRefusals = (): Record<RefusalReason, number> => ({ ...NONE });
