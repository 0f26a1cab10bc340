export { type BlobStore, type BlobWrite, type OpenBlob, type ReadOptions } from "./blob-store.js";
export { BlobStoreError, type BlobStoreErrorReason } from "./errors.js";
export { openDirectoryBlobStore } from "./directory-store.js";
export {
  copyArtifact,
  putFile,
  verifyArtifact,
  type TransferFollower,
  type TransferOptions,
  type TransferProgress,
} from "./transfer.js";
