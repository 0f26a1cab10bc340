import {
  blobFolder,
  dataFolder,
  identityFile,
  joinToken,
  keyFile,
  natsFile,
  SERVER_NAME,
  tokenFile,
} from "./files.js";

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
  databaseUrl: string;
  replicationDatabaseUrl: string;
  builders: readonly string[];
  /** Each region's agents. */
  regions: readonly RegionPlan[];
  hosts: readonly HostPlan[];
}

/** What to start, in this order. */
export function planProcesses(plan: FleetPlan): ProcessPlan[] {
  return [
    ...plan.coordinators.map((each) => coordinator(plan, each)),
    ...plan.builders.map((id, index) => builder(plan, id, index)),
    ...plan.regions.map((region, index) => regionAgent(plan, region, index)),
    ...plan.hosts.map((host, index) => hostAgent(plan, host, index)),
  ];
}

const address = (port: number): string => `127.0.0.1:${port}`;

/** By the name that the servers' certificate has. */
export const coordinatorAddress = ({ port }: CoordinatorPlan): string => `${SERVER_NAME}:${port}`;

/** Agents know one coordinator each, in turn. */
function coordinatorFor({ coordinators }: FleetPlan, index: number): string {
  return coordinatorAddress(coordinators[index % coordinators.length] as CoordinatorPlan);
}

const regionNatsUrl = (plan: FleetPlan, region: string): string =>
  plan.regionNatsUrls[region] ?? plan.natsUrl;

function coordinator(plan: FleetPlan, { name, port }: CoordinatorPlan): ProcessPlan {
  const { dir } = plan;
  const options = {
    listen: address(port),
    "tls-cert": keyFile(dir, "server.crt"),
    "tls-key": keyFile(dir, "server.key"),
    "database-url": plan.databaseUrl,
    "replication-database-url": plan.replicationDatabaseUrl,
    nats: plan.natsUrl,
    "nats-ca": keyFile(dir, "ca.crt"),
    "nats-credentials": natsFile(dir, "coordinator.creds"),
    "nats-issuer": natsFile(dir, "issuer.json"),
    "nats-system-credentials": natsFile(dir, "system.creds"),
    "nats-operator-key": natsFile(dir, "operator-signing.nk"),
    ...regionNats(plan),
    "key-set": keyFile(dir, "key-set"),
    "root-public-key": keyFile(dir, "root.key.pub"),
    "goal-key": keyFile(dir, "goal.key"),
    "membership-key": keyFile(dir, "membership.key"),
    "hook-secret-file": keyFile(dir, "hook.secret"),
  };
  return { kind: "coordinator", name, args: ["serve", "--require-provenance", ...flags(options)] };
}

/** Where regions do not share the global NATS. */
function regionNats({ regionNatsUrls }: FleetPlan): Record<string, string> {
  const urls = Object.entries(regionNatsUrls).map((pair) => pair.join("="));
  return urls.length === 0 ? {} : { "region-nats": urls.join(",") };
}

/** How an agent becomes a member of the fleet, and calls coordinators. */
function member(
  plan: FleetPlan,
  id: string,
  { index, join }: { index: number; join: string },
): Record<string, string> {
  return {
    id,
    coordinator: coordinatorFor(plan, index),
    "coordinator-ca": keyFile(plan.dir, "ca.crt"),
    identity: identityFile(plan.dir, id),
    "join-token-file": tokenFile(plan.dir, join),
    "data-dir": dataFolder(plan.dir, id),
  };
}

/** Whom region agents and hosts believe, and how they find each other. */
function peer(plan: FleetPlan, region: string, port: number): Record<string, string> {
  return {
    region,
    "region-nats": regionNatsUrl(plan, region),
    "nats-ca": keyFile(plan.dir, "ca.crt"),
    // The other keys come in the key set, with the certificate.
    "root-public-key": keyFile(plan.dir, "root.key.pub"),
    listen: address(port),
    bootstrap: bootstrap(plan, region),
  };
}

function builder(plan: FleetPlan, id: string, index: number): ProcessPlan {
  const options = {
    ...member(plan, id, { index, join: joinToken("builder") }),
    "coordinator-token-file": tokenFile(plan.dir, id),
    "blob-store": blobFolder(plan.dir, "main"),
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
    ...member(plan, agentId, { index, join: joinToken("region", region) }),
    ...peer(plan, region, port),
    "coordinator-token-file": tokenFile(plan.dir, region),
    nats: plan.natsUrl,
    "main-blob-store": blobFolder(plan.dir, "main"),
    "blob-store": blobFolder(plan.dir, region),
  };
  const shared = isShared ? ["--blob-store-shared"] : [];
  return { kind: "region", name: agentId, args: ["region", ...flags(options), ...shared] };
}

function hostAgent(
  plan: FleetPlan,
  { region, hostId, port, servicePort }: HostPlan,
  index: number,
): ProcessPlan {
  const isFirst = plan.hosts.find((host) => host.region === region)?.hostId === hostId;
  const options = {
    ...member(plan, hostId, { index, join: joinToken("host", region) }),
    ...peer(plan, region, port),
    label: `tier=web,place=${isFirst ? "first" : "other"}`,
    env: `PORT=${servicePort}`,
  };
  return { kind: "host", name: hostId, args: ["host", ...flags(options)] };
}

function bootstrap(plan: FleetPlan, region: string): string {
  const agents = plan.regions.filter((agent) => agent.region === region);
  return agents.map(({ port }) => address(port)).join(",");
}

function flags(options: Record<string, string>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}
