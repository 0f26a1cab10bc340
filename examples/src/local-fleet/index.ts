/** A whole fleet on one machine. */
export { startLocalFleet, type FleetHost, type LocalFleet } from "./fleet.js";
export { FleetError, type LogTail } from "./fleet-error.js";
export type { FleetOptions } from "./options.js";
export type { FleetProcess } from "./fleet-process.js";
export type { ProcessKind } from "./command-lines.js";
