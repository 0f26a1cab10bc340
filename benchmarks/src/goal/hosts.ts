// Hosts of a region that do nothing but follow its goals, each on a connection of its own. Argument:
// HostsConfig as JSON. Ends when its parent does.
import process from "node:process";
import { compareGoalOrder, GoalFollower, goalOrder, NatsLink } from "@slipway/agent/host/following";
import { Goal, SignedGoal } from "@slipway/proto";
import { pino } from "pino";
import { monotonicMs } from "./monotonic-clock.js";

export interface HostsConfig {
  nats: string;
  region: string;
  hosts: number;
  /** Number of the first. */
  from: number;
}

/** All hosts of the process have a generation: when each was told, by the machine's clock. */
export interface Told {
  generation: number;
  atMs: number[];
}

process.once("disconnect", () => process.exit(0));
// The parent may have gone while this was being loaded.
if (!process.connected) process.exit(0);
follow(JSON.parse(process.argv[2] ?? "") as HostsConfig);

function follow({ nats, region, hosts, from }: HostsConfig): void {
  const log = pino({ level: "silent" });
  const told = new Map<number, number[]>();
  for (let host = from; host < from + hosts; host++) {
    const link = new NatsLink({ servers: [nats], name: `host ${host}`, log });
    let newest = { generation: 0, issueTimeMs: 0 };
    const follower = new GoalFollower({
      link,
      region,
      log,
      wants: (version) => compareGoalOrder(goalOrder(version), newest) > 0,
      onGoal: (_application, signed) => {
        const atMs = monotonicMs();
        const order = goalOrder(Goal.decode(SignedGoal.decode(signed).payload));
        if (compareGoalOrder(order, newest) <= 0) return;
        newest = order;
        const times = told.get(order.generation) ?? [];
        told.set(order.generation, times);
        times.push(atMs);
        if (times.length < hosts) return;
        told.delete(order.generation);
        process.send?.({ generation: order.generation, atMs: times } satisfies Told);
      },
    });
    follower.start();
    link.start();
  }
}
