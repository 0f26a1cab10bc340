import { setTimeout as delay } from "node:timers/promises";
import type { Fleet } from "../fleet.js";
import type { Manner } from "../file-source.js";
import type { PeerProcess } from "../peer-process.js";
import type { RackNetwork } from "./network.js";

interface Struck {
  network: RackNetwork;
  fleet: Fleet;
}

/** What goes wrong on a rack. */
export interface Fault {
  /** One more host has everything from the start, and this wrong with it; slow: SLOW of the rate. */
  odd?: Manner | "slow";
  /** How many of so many hosts don't finish: the first ones. */
  doomed?: (hosts: number) => number;
  /** Done from the start on; ends when the fault is over. */
  strike?: (struck: Struck) => Promise<void>;
}

export const SLOW = 1 / 100;
const APART_MS = 10_000;
const POLL_MS = 100;
const third = (hosts: number): number => Math.floor(hosts / 3);

export const faults: Record<string, Fault> = {
  none: {},
  liar: { odd: "liar" },
  silent: { odd: "silent" },
  slow: { odd: "slow" },
  third_killed: {
    doomed: third,
    strike: async ({ fleet }) => {
      await half(fleet.hosts);
      for (const host of fleet.hosts.slice(0, third(fleet.hosts.length))) host.kill();
    },
  },
  seeder_killed: {
    strike: async ({ fleet }) => {
      while (!(await oneCopyOut(fleet.hosts))) await delay(POLL_MS);
      fleet.seeder.kill();
    },
  },
  partition: {
    strike: async ({ network, fleet }) => {
      await half(fleet.hosts);
      const apart = fleet.hosts.slice(0, third(fleet.hosts.length)).map((_, index) => index + 1);
      await network.setApart(apart, true);
      await delay(APART_MS);
      await network.setApart(apart, false);
    },
  },
};

/** The first of them has half of it. */
async function half(hosts: readonly PeerProcess[]): Promise<void> {
  await Promise.race(hosts.map((host) => host.next("half")));
}

/** Every chunk is at one of them at least. */
async function oneCopyOut(hosts: readonly PeerProcess[]): Promise<boolean> {
  const answers = hosts.map((host) => host.next("missing"));
  for (const host of hosts) host.order("missing");
  const known: number[][] = [];
  for (const { missing } of await Promise.all(answers))
    if (missing !== undefined) known.push(missing);
  const [first, ...others] = known;
  if (first === undefined) return false;
  return !first.some((chunk) => others.every((missing) => missing.includes(chunk)));
}
