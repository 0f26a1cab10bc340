export { startBuilder, type Builder } from "./builder.js";
export type { BuilderConfig } from "./config.js";
export type { ConfinementOptions } from "./process/confinement.js";
export { DataDirectoryInUseError } from "../process/data-directory-lock.js";
