import process from "node:process";

/** Milliseconds on the machine's monotonic clock, which all its processes have in common. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
