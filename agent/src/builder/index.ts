export { startBuilder, type Builder } from "./builder.js";
export type { BuilderConfig } from "./config.js";
export { DataDirectoryInUseError } from "../process/data-directory-lock.js";
