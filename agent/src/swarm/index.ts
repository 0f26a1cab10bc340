export { join } from "./join.js";
export { SaveFileError } from "./save-file.js";
export { FileChangedError, NotAFileError } from "./seeded-files.js";
export { SwarmClosedError } from "./swarm-closed-error.js";
export type { Priority } from "./priority.js";
export type {
  Address,
  ArtifactSource,
  Encryption,
  FetchOptions,
  FetchProgress,
  PartialArtifact,
  PartialShare,
  ReadableArtifact,
  SeededFile,
  Swarm,
  SwarmOptions,
  SwarmStats,
} from "./types.js";
export {
  type AgentRole,
  type CreateIdentityOptions,
  type Identity,
  IdentityError,
  type MemberRole,
  createIdentity,
  readPrivateKey,
  readPublicKey,
} from "./identity.js";
export { readIdentity, writeIdentity } from "./identity-file.js";
export { openArtifactStore } from "../store/artifact-store.js";
export { chunkFile } from "../store/chunker.js";
export { StoreFullError } from "../store/errors.js";
export { ManifestError, artifactDigest } from "../store/manifest.js";
export type { ArtifactStore } from "../store/types.js";
