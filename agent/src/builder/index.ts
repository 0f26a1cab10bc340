export { startBuilder, type Builder, type BuilderStats } from "./builder.js";
export type { BuilderConfig } from "./config.js";
export { DataDirectoryInUseError } from "./data-directory.js";
