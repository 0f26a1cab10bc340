import process from "node:process";
import { SkippedError } from "../../skipped.js";
import { command } from "./command.js";
import { OWN_PREFIX, removeNamespaces } from "./left-overs.js";

/** A queue's share of a switch's packet buffer: what rate × this comes to, within QUEUE_MIN. */
const QUEUE_MS = 25;
const QUEUE_MIN_BYTES = 512 * 1024;
/**
 * A bucket holds one of the largest packets that the kernel passes on unsegmented (64 KiB of data
 * with the headers of 45 segments): less would have it cut up every one, which costs processor time
 * that a network card would not; more would let hosts beat their rate.
 */
const BURST_BYTES = 96 * 1024;

const BRIDGE = "bridge0";
const OTHER_BRIDGE = "bridge1";

export interface RackNetworkOptions {
  /** Links with the rate. */
  hosts: number;
  bitsPerSecond: number;
  /** Links without, for trackers and the like. */
  services: number;
}

/** Throws SkippedError without the rights or the tools for a rack. */
export async function needRack(): Promise<void> {
  if (process.getuid?.() !== 0) throw new SkippedError("network namespaces need root");
  for (const tool of ["ip", "tc"]) {
    await command(tool, ["-V"]).catch(() => {
      throw new SkippedError(`${tool} of iproute2 is not installed`);
    });
  }
}

/**
 * Network namespaces, each with a link to one bridge, which is in a namespace of its own: nothing of
 * this is seen from the machine's own network, nor reaches it. Hosts' links carry the rate both
 * ways: what a host sends is shaped at its own end, what it gets at the bridge's.
 */
export class RackNetwork {
  readonly #options: RackNetworkOptions;

  private constructor(options: RackNetworkOptions) {
    this.#options = options;
  }

  static async create(options: RackNetworkOptions): Promise<RackNetwork> {
    const network = new RackNetwork(options);
    try {
      await network.#build();
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  namespace(index: number): string {
    return `${OWN_PREFIX}${index}`;
  }

  address(index: number): string {
    return `10.77.${Math.floor((index + 1) / 250)}.${((index + 1) % 250) + 1}`;
  }

  /** Bytes that a host has put on its link, headers and all. */
  async bytesSent(index: number): Promise<number> {
    const output = await command("ip", [
      "-n",
      this.#switch,
      "-j",
      "-s",
      "link",
      "show",
      port(index),
    ]);
    const [link] = JSON.parse(output) as { stats64: { rx: { bytes: number } } }[];
    if (link === undefined) throw new Error(`no statistics of ${port(index)}`);
    return link.stats64.rx.bytes;
  }

  /** Puts hosts on a bridge of their own, from which nobody else is reached, or back. */
  async setApart(indexes: readonly number[], apart: boolean): Promise<void> {
    const bridge = apart ? OTHER_BRIDGE : BRIDGE;
    const lines = indexes.map((index) => `link set ${port(index)} master ${bridge}`);
    await batch("ip", this.#switch, lines);
  }

  /** Changes the rate of what a host sends. */
  async setSendRate(index: number, bitsPerSecond: number): Promise<void> {
    const shape = ["replace", "dev", "eth0", "root", ...tokenBucket(bitsPerSecond)];
    await command("tc", ["-n", this.namespace(index), "qdisc", ...shape]);
  }

  /** With whatever still runs in it. */
  async remove(): Promise<void> {
    await removeNamespaces();
  }

  get #switch(): string {
    return `${OWN_PREFIX}switch`;
  }

  async #build(): Promise<void> {
    const { hosts, services, bitsPerSecond } = this.#options;
    await command("ip", ["netns", "add", this.#switch]);
    for (const bridge of [BRIDGE, OTHER_BRIDGE]) {
      await command("ip", ["-n", this.#switch, "link", "add", bridge, "type", "bridge"]);
      await command("ip", ["-n", this.#switch, "link", "set", bridge, "up"]);
    }
    const bucket = tokenBucket(bitsPerSecond).join(" ");
    for (let index = 0; index < hosts + services; index++) {
      const own = this.namespace(index);
      await command("ip", ["netns", "add", own]);
      await batch("ip", this.#switch, [
        `link add ${port(index)} type veth peer name eth0 netns ${own}`,
        `link set ${port(index)} master ${BRIDGE} up`,
      ]);
      await batch("ip", own, [
        "link set lo up",
        `addr add ${this.address(index)}/16 dev eth0`,
        "link set eth0 up",
      ]);
      if (index >= hosts) continue;
      await batch("tc", own, [`qdisc add dev eth0 root ${bucket}`]);
      await batch("tc", this.#switch, [`qdisc add dev ${port(index)} root ${bucket}`]);
    }
  }
}

const port = (index: number): string => `port${index}`;

function tokenBucket(bitsPerSecond: number): string[] {
  const queue = Math.max(QUEUE_MIN_BYTES, (bitsPerSecond / 8) * (QUEUE_MS / 1000));
  return [
    "tbf",
    ["rate", `${Math.round(bitsPerSecond)}bit`],
    ["burst", `${BURST_BYTES}b`],
    ["limit", `${Math.round(queue)}b`],
  ].flat();
}

async function batch(tool: "ip" | "tc", namespace: string, lines: string[]): Promise<void> {
  await command(tool, ["-n", namespace, "-batch", "-"], `${lines.join("\n")}\n`);
}
