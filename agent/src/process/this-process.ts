import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import process from "node:process";
import type { AgentProcess } from "@slipway/proto";

/** What this process says of itself, by which two that have one identity are told apart. */
export function thisProcess(listen?: { host: string; port: number }): AgentProcess {
  const address = listen === undefined ? "" : `${listen.host}:${listen.port}`;
  return { incarnation: randomUUID(), machine: hostname(), address, pid: process.pid };
}

/** For people: which process it is, and where. */
export function describeProcess({ machine, address, pid }: AgentProcess): string {
  if (machine === "") return "an agent of an earlier version";
  return `${machine} (${[address, `process ${pid}`].filter((part) => part !== "").join(", ")})`;
}
