export { addressOf } from "./address.js";
export { Door, type DoorLimits, type DoorRefusal } from "./door.js";
export { type Rate, type RateLimits, RateLimiter } from "./rate-limiter.js";
export { type RoomLimits, WaitingRoom } from "./waiting-room.js";
