export { type BlobStore, type BlobWrite, type OpenBlob, type ReadOptions } from "./blob-store.js";
export { BlobStoreError, type BlobStoreErrorReason } from "./errors.js";
export { openDirectoryBlobStore } from "./directory-store.js";
export type { TransferFollower, TransferOptions, TransferProgress } from "./put.js";
export { copyArtifact, putFile, verifyArtifact } from "./transfer.js";
