import path from "node:path";

/** Which programs run in a fleet. */
export type ProcessKind = "coordinator" | "builder" | "region" | "host";

/** What one process of the fleet is. */
export interface ProcessPlan {
  kind: ProcessKind;
  /** Unique in the fleet; also its folder's and log's name. */
  name: string;
  args: string[];
}

interface CoordinatorPlan {
  name: string;
  port: number;
}

interface RegionPlan {
  region: string;
  agentId: string;
  /** Of its swarm. */
  port: number;
}

interface HostPlan {
  region: string;
  hostId: string;
  /** Of the swarm. */
  port: number;
  /** Where the service listens that runs on it. */
  servicePort: number;
}

/** Where everything of a fleet is. */
export interface FleetPlan {
  dir: string;
  coordinators: readonly CoordinatorPlan[];
  /** Of the global NATS. */
  natsUrl: string;
  /** Of regions that have one of their own. */
  regionNatsUrls: Readonly<Record<string, string>>;
  /** Every process has a user of its own on NATS. */
  natsUsers: boolean;
  databaseUrl: string;
  replicationDatabaseUrl: string;
  builders: readonly string[];
  /** Each region's agents. */
  regions: readonly RegionPlan[];
  hosts: readonly HostPlan[];
}

export const goalKeyFile = (dir: string): string => path.join(dir, "keys", "goal");
export const hookSecretFile = (dir: string): string => path.join(dir, "keys", "hook-secret");
export const membershipKeyFile = (dir: string): string => path.join(dir, "keys", "membership");
export const identityFile = (dir: string, name: string): string =>
  path.join(dir, "keys", `${name}.identity.json`);
/** Where `slipway-coordinator nats-config` writes. */
export const natsFolder = (dir: string): string => path.join(dir, "keys", "nats");
/** Of a region's own nats-server; without a region, of the global one. */
export const natsConfigFile = (dir: string, region?: string): string =>
  path.join(
    natsFolder(dir),
    region === undefined ? "nats-global.conf" : `nats-region-${region}.conf`,
  );
/** A region agent's or host's, on its region's NATS. */
export const natsUserFile = (dir: string, name: string): string =>
  path.join(natsFolder(dir), `${name}.member.creds`);
export const blobFolder = (dir: string, name: string): string => path.join(dir, "blobs", name);
/** Where a process works; without a name, the folder of all of them. */
export const dataFolder = (dir: string, name = ""): string => path.join(dir, "data", name);

/** What to start, in this order. */
export function planProcesses(plan: FleetPlan): ProcessPlan[] {
  return [
    ...plan.coordinators.map((each) => coordinator(plan, each)),
    ...plan.builders.map((id, index) => builder(plan, id, index)),
    ...plan.regions.map((region, index) => regionAgent(plan, region, index)),
    ...plan.hosts.map((host) => hostAgent(plan, host)),
  ];
}

export const address = (port: number): string => `127.0.0.1:${port}`;

/** Builders and region agents know one coordinator each, in turn. */
function coordinatorFor(plan: FleetPlan, index: number): string {
  const { coordinators } = plan;
  return address((coordinators[index % coordinators.length] as CoordinatorPlan).port);
}

const regionNatsUrl = (plan: FleetPlan, region: string): string =>
  plan.regionNatsUrls[region] ?? plan.natsUrl;

function coordinator(plan: FleetPlan, { name, port }: CoordinatorPlan): ProcessPlan {
  const options = {
    listen: address(port),
    "database-url": plan.databaseUrl,
    "replication-database-url": plan.replicationDatabaseUrl,
    nats: plan.natsUrl,
    "goal-key": goalKeyFile(plan.dir),
    "hook-secret-file": hookSecretFile(plan.dir),
  };
  const file = (name: string): string => path.join(natsFolder(plan.dir), name);
  const natsUsers = plan.natsUsers
    ? {
        "nats-credentials": file("coordinator.creds"),
        "nats-issuer": file("issuer.json"),
        "nats-system-credentials": file("system.creds"),
        "nats-operator-key": file("operator-signing.nk"),
        ...regionNats(plan),
      }
    : {};
  const args = ["serve", "--insecure", ...flags({ ...options, ...natsUsers })];
  return { kind: "coordinator", name, args };
}

/** Where regions do not share the global NATS. */
function regionNats({ regionNatsUrls }: FleetPlan): Record<string, string> {
  const urls = Object.entries(regionNatsUrls).map((pair) => pair.join("="));
  return urls.length === 0 ? {} : { "region-nats": urls.join(",") };
}

function builder(plan: FleetPlan, id: string, index: number): ProcessPlan {
  const options = {
    id,
    coordinator: coordinatorFor(plan, index),
    "blob-store": blobFolder(plan.dir, "main"),
    "data-dir": dataFolder(plan.dir, id),
  };
  return { kind: "builder", name: id, args: ["builder", ...flags(options)] };
}

function regionAgent(
  plan: FleetPlan,
  { region, agentId, port }: RegionPlan,
  index: number,
): ProcessPlan {
  const isShared = plan.regions.filter((each) => each.region === region).length > 1;
  const options = {
    id: agentId,
    region,
    coordinator: coordinatorFor(plan, index),
    nats: plan.natsUrl,
    "region-nats": regionNatsUrl(plan, region),
    "main-blob-store": blobFolder(plan.dir, "main"),
    "blob-store": blobFolder(plan.dir, region),
    "data-dir": dataFolder(plan.dir, agentId),
    identity: identityFile(plan.dir, agentId),
    "membership-public-key": `${membershipKeyFile(plan.dir)}.pub`,
    "goal-public-key": `${goalKeyFile(plan.dir)}.pub`,
    listen: address(port),
    bootstrap: bootstrap(plan, region),
  };
  const user = natsUserFile(plan.dir, agentId);
  const natsUser = plan.natsUsers
    ? { "nats-credentials": `${user}.global`, "region-nats-credentials": user }
    : {};
  const shared = isShared ? ["--blob-store-shared"] : [];
  return {
    kind: "region",
    name: agentId,
    args: ["region", ...flags({ ...options, ...natsUser }), ...shared],
  };
}

function hostAgent(plan: FleetPlan, { region, hostId, port, servicePort }: HostPlan): ProcessPlan {
  const isFirst = plan.hosts.find((host) => host.region === region)?.hostId === hostId;
  const options = {
    id: hostId,
    region,
    label: `tier=web,place=${isFirst ? "first" : "other"}`,
    "region-nats": regionNatsUrl(plan, region),
    "data-dir": dataFolder(plan.dir, hostId),
    identity: identityFile(plan.dir, hostId),
    "membership-public-key": `${membershipKeyFile(plan.dir)}.pub`,
    "goal-public-key": `${goalKeyFile(plan.dir)}.pub`,
    listen: address(port),
    bootstrap: bootstrap(plan, region),
    env: `PORT=${servicePort}`,
  };
  const natsUser = plan.natsUsers
    ? { "region-nats-credentials": natsUserFile(plan.dir, hostId) }
    : {};
  return { kind: "host", name: hostId, args: ["host", ...flags({ ...options, ...natsUser })] };
}

function bootstrap(plan: FleetPlan, region: string): string {
  const agents = plan.regions.filter((agent) => agent.region === region);
  return agents.map(({ port }) => address(port)).join(",");
}

function flags(options: Record<string, string>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}
