// A BitTorrent tracker of one torrent, in a process of its own: tells its parent who announced.
import { createServer } from "node:http";
import net from "node:net";
import process from "node:process";
import { bencode } from "./bencode.js";

/** What it tells: an announcement came from this address. */
export interface Announced {
  host: string;
}

/** Seconds: short, as hosts that start together learn of each other only when they ask again. */
const INTERVAL = 2;

const peers = new Map<string, Buffer>();
const server = createServer((request, response) => {
  const { searchParams } = new URL(request.url ?? "/", "http://tracker");
  const host = request.socket.remoteAddress ?? "";
  const port = Number(searchParams.get("port"));
  if (!net.isIPv4(host) || !(port > 0 && port < 65_536)) {
    response.end(bencode({ "failure reason": "no port, or not IPv4" }));
    return;
  }
  const others = [...peers].filter(([other]) => other !== host).map(([, compact]) => compact);
  response.end(bencode({ interval: INTERVAL, "min interval": 1, peers: Buffer.concat(others) }));
  peers.set(host, Buffer.from([...host.split(".").map(Number), port >> 8, port & 0xff]));
  process.send?.({ host } satisfies Announced);
});
const [host = "", port = ""] = process.argv.slice(2);
server.listen(Number(port), host, () => process.send?.("listening"));
process.on("disconnect", () => process.exit(0));
