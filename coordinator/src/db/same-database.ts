import { Client } from "pg";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i;

/** Whether two URLs name one database of one server: who connects, and how, does not count. */
export function isSameDatabase(one: string, other: string): boolean {
  return placeOf(one) === placeOf(other);
}

/** As the client understands the URL, defaults filled in; it connects to nothing. */
function placeOf(url: string): string {
  const { host, port, database } = new Client(url);
  const at = LOOPBACK.test(host) ? "localhost" : host.toLowerCase();
  return JSON.stringify([at, port, database]);
}
