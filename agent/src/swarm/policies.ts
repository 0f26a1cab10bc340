export { Bitfield } from "../store/bitfield.js";
export type { Ask, Withdraw } from "./asking.js";
export type { ChunkSizes } from "./download.js";
export { Giver } from "./giver.js";
export type { BoundRequest } from "./requests.js";
export { Scheduler } from "./scheduler.js";
export { Uplink, type UplinkRequest } from "./uplink.js";
