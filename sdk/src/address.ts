import { isIP } from "node:net";

/** Where a coordinator listens. */
export interface Address {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  host: string;
  port: number;
  /** As grpc-js takes it, and as messages show it: an IPv6 host in brackets. */
  text: string;
}

/**
 * Reads "host:port" or "[IPv6]:port".
 * @throws TypeError that says what is wrong with it.
 */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (match === null || host === undefined || port < 1 || port > 65_535) {
    throw new TypeError(`coordinator address "${text}" is not host:port, such as 127.0.0.1:7700`);
  }
  if (match[1] !== undefined && isIP(host) !== 6) {
    throw new TypeError(`coordinator address "${text}" has no IPv6 address in its brackets`);
  }
  return { host, port, text };
}

/** Whether it can only be this machine. */
export function isLoopback({ host }: Address): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
