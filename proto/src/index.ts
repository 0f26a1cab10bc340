export * from "./names.js";
export { asPromise, unary, type RequestOf, type ResponseOf, type UnaryOptions } from "./call.js";
export { incarnationOf, Incarnations } from "./incarnations.js";
export { getTokenEnd, setTokenEnd } from "./token-end.js";
export { durationFromMs, durationToMs } from "./duration.js";
export {
  isSignatureOf,
  KEY_ID_PATTERN,
  privateKeyOf,
  publicKeyOf,
  RAW_KEY_BYTES,
  rawPublicKey,
  shortKeyId,
  SIGNATURE_BYTES,
  signedMessage,
} from "./ed25519.js";
export {
  KeySetRefusedError,
  signKeySet,
  verifyKeySet,
  type HeldKey,
  type VerifiedKeySet,
} from "./key-set.js";
export {
  decodeProvenance,
  signProvenance,
  verifyProvenance,
  type ProvenanceCheck,
  type ProvenanceSigner,
  type VerifiedProvenance,
} from "./provenance/provenance.js";
export { ProvenanceRefusedError, type ProvenanceFault } from "./provenance/refused.js";
export { withoutCredentials, type BuildFacts, type BuildTimes } from "./provenance/statement.js";
export {
  MEMBER_ROLES,
  memberRoleName,
  type MemberRoleName,
  TOKEN_ROLES,
  tokenRoleName,
  type TokenRoleName,
} from "./roles.js";
export {
  answersIn,
  countTogether,
  requestOf,
  responseOf,
  type WorkAnswer,
  type WorkSaying,
} from "./work-messages.js";
export { PROTO_DIRECTORY, SERVICE_FILES } from "./definitions.js";
export { Duration } from "../gen/google/protobuf/duration.js";
export * from "../gen/slipway/v1/application.js";
export * from "../gen/slipway/v1/audit.js";
export * from "../gen/slipway/v1/build.js";
export * from "../gen/slipway/v1/builder.js";
export * from "../gen/slipway/v1/deployment.js";
export * from "../gen/slipway/v1/fleet.js";
export * from "../gen/slipway/v1/freeze.js";
export * from "../gen/slipway/v1/goal.js";
export * from "../gen/slipway/v1/key_set.js";
export * from "../gen/slipway/v1/membership.js";
export * from "../gen/slipway/v1/provenance.js";
export * from "../gen/slipway/v1/replication.js";
export * from "../gen/slipway/v1/status.js";
export * from "../gen/slipway/v1/strategy.js";
export * from "../gen/slipway/v1/swarm.js";
export * from "../gen/slipway/v1/token.js";
export { getErrorDetails, setErrorDetails, type ErrorDetails } from "./errors.js";
export type { FieldViolation } from "../gen/slipway/v1/error.js";
