export type { Builder } from "./leasing-builder.js";
export { startBuilder } from "./start-builder.js";
export type { BuilderConfig } from "./config.js";
export type { ConfinementOptions } from "./process/confinement.js";
export { DataDirectoryInUseError } from "../process/data-directory-lock.js";
