export { startBuilder, type Builder } from "./builder.js";
export type { BuilderConfig } from "./config.js";
export { DataDirectoryInUseError } from "./data-directory.js";
