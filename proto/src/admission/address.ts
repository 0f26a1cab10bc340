/**
 * What of a peer's address is counted by: without the port, an IPv4 address as itself however it is
 * written, of an IPv6 address the half that its network is given. Takes HOST:PORT, or, where there is
 * no port, a host as Node says it.
 */
export function addressOf(peer: string, port: "with-port" | "without-port" = "with-port"): string {
  const bare = port === "with-port" ? peer.replace(/:\d+$/, "") : peer;
  const address = bare.replace(/^\[(.*)\]$/, "$1");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head.split(":").filter((group) => group !== "");
  const last = tail?.split(":").filter((group) => group !== "") ?? [];
  while (groups.length + last.length < 8) groups.push("0");
  return [...groups, ...last].slice(0, 4).join(":");
}
