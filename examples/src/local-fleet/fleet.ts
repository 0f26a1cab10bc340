import { setMaxListeners } from "node:events";
import { chmod, mkdir, readFile, realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { createClient, type Client } from "@slipway/sdk";
import { guard } from "../processes/guardian.js";
import { endLeftovers } from "../processes/leftovers.js";
import { type TemporaryDirectory, temporaryDirectory } from "../processes/temporary-directory.js";
import { freePort, type NatsServer, type PostgresServer } from "../servers/index.js";
import {
  coordinatorAddress,
  type FleetPlan,
  planProcesses,
  type ProcessKind,
} from "./command-lines.js";
import { processEnvironment } from "./environment.js";
import { FleetError, type LogTail } from "./fleet-error.js";
import { dataFolder, keyFile, tokenFile } from "./files.js";
import { FleetProcess } from "./fleet-process.js";
import type { FleetServer } from "./fleet-server.js";
import { type FleetServers, startServers } from "./fleet-servers.js";
import { initFleet } from "./init.js";
import { type FleetOptions, type ResolvedFleetOptions, resolveFleetOptions } from "./options.js";
import { planFleet } from "./plan.js";
import { coordinatorReady, hostsReady, NotReadyError, regionAgentsReady } from "./readiness.js";
import {
  ADMIN,
  createPersonsToken,
  type PersonsRole,
  writeFirstToken,
  writeTokens,
} from "./tokens.js";

const require = createRequire(import.meta.url);

/** A host of the fleet. */
export interface FleetHost {
  id: string;
  region: string;
  /** Where the service answers that runs on it. */
  url: string;
}

/**
 * A whole fleet of real processes on this machine. It ends with this process at the latest, and does
 * not keep it alive.
 */
export interface LocalFleet {
  dir: string;
  /** HOST:PORT of the coordinator's gRPC; with several, of the first one's. */
  coordinator: string;
  /** For coordinators, of an admin. */
  client: Client;
  /** What the certificates of coordinators and NATS servers are signed by: a PEM file. */
  caFile: string;
  /** Of the key that signs memberships, as builders': a PEM file. */
  membershipPublicKeyFile: string;
  /** Holds the admin's token. */
  adminTokenFile: string;
  /** Makes a token, and answers the client that calls with it; it is closed with the fleet. */
  connect(name: string, role: PersonsRole): Promise<Client>;
  regions: readonly string[];
  hosts: readonly FleetHost[];
  readonly postgres: PostgresServer;
  /** The global one. */
  readonly nats: NatsServer;
  /** Of regions that have one of their own, by region. */
  readonly regionNats: ReadonlyMap<string, NatsServer>;
  /** By name: postgres, nats, and nats-eu … if regions have one of their own. */
  servers: ReadonlyMap<string, FleetServer>;
  /** By name: coordinator, builder-1 …, eu-agent …, eu-1 …; with numbers where there are several. */
  processes: ReadonlyMap<string, FleetProcess>;
  /** @throws Error if there is none of that name. */
  process(name: string): FleetProcess;
  /** The ends of these processes' logs; names of nobody are passed over. */
  logTails(names: readonly string[]): Promise<LogTail[]>;
  /** Aborts when a process ends that nobody asked to; the reason is an Error with its log's end. */
  broken: AbortSignal;
  /** Leave its directory behind after all, to look at its logs. */
  keep(): void;
  /** Ends everything within about 20 s, the releases that hosts run too. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts a fleet and waits until all of it can be used: the coordinator answers, every region agent
 * counts, every host is enrolled and heard of.
 * @throws FleetError with the logs that matter; the signal's reason. Nothing is left behind then.
 */
export async function startLocalFleet(options?: FleetOptions): Promise<LocalFleet> {
  const fleet = new FleetBuilder(resolveFleetOptions(options));
  try {
    return await fleet.start();
  } catch (error) {
    const explained = await fleet.explain(error);
    await fleet.stop();
    throw explained;
  }
}

/** What has been started so far, so that it can be stopped from any point on. */
class FleetBuilder {
  readonly #options: ResolvedFleetOptions;
  readonly #broken = new AbortController();
  readonly #processes = new Map<string, FleetProcess>();
  #temporary: TemporaryDirectory | undefined;
  #dir: string | undefined;
  readonly #servers: FleetServer[] = [];
  readonly #clients: Client[] = [];
  #stopping: Promise<void> | undefined;

  constructor(options: ResolvedFleetOptions) {
    this.#options = options;
    // Every wait and request listens to it.
    setMaxListeners(0, this.#broken.signal);
    options.signal.addEventListener("abort", this.#giveUp);
    if (options.signal.aborted) this.#giveUp();
  }

  async start(): Promise<LocalFleet> {
    const { onProgress, startTimeoutMs } = this.#options;
    const end = Date.now() + startTimeoutMs;
    const wait = () => ({ timeoutMs: end - Date.now(), signal: this.#broken.signal });
    const dir = await this.#makeDirectory();
    onProgress("postgres and nats-server");
    const { regions, natsPerRegion } = this.#options;
    const regionsWithNats = natsPerRegion ? regions : [];
    const configured = initFleet(dir, { regions, regionsWithNats });
    const servers = await startServers(dir, { regionsWithNats, configured }, (server) =>
      this.#servers.push(server),
    );
    const plan = await this.#planOn(servers, dir);
    this.#plan(plan);

    onProgress("coordinator");
    await this.#startAll("coordinator");
    const caFile = keyFile(dir, "ca.crt");
    const coordinators = plan.coordinators.map(coordinatorAddress);
    const rootCertificates = await readFile(caFile);
    const open = (token: string): Client => {
      const opened = createClient({ coordinator: coordinators, tls: { rootCertificates }, token });
      this.#clients.push(opened);
      return opened;
    };
    const client = open(await writeFirstToken(plan));
    await coordinatorReady(client, plan, wait());
    await writeTokens(client, plan);
    onProgress(`${plan.regions.length} region agents`);
    await this.#startAll("region");
    // A host that reports before its region agent listens is enrolled a reporting interval later.
    await regionAgentsReady(client, plan, wait());
    onProgress(`${plan.builders.length} builders and ${plan.hosts.length} hosts`);
    await this.#startAll("builder");
    await this.#startAll("host");
    await hostsReady(client, plan, wait());
    await regionAgentsReady(client, plan, wait(), { settled: true });
    return {
      dir,
      coordinator: coordinators[0] as string,
      client,
      caFile,
      membershipPublicKeyFile: keyFile(dir, "membership.key.pub"),
      adminTokenFile: tokenFile(dir, ADMIN),
      connect: async (name, role) => open(await createPersonsToken(client, name, role)),
      regions: this.#options.regions,
      hosts: plan.hosts.map(({ hostId, region, servicePort }) => ({
        id: hostId,
        region,
        url: `http://127.0.0.1:${servicePort}`,
      })),
      get postgres() {
        return servers.postgres.server;
      },
      get nats() {
        return servers.nats.server;
      },
      get regionNats() {
        return new Map([...servers.regionNats].map(([region, { server }]) => [region, server]));
      },
      servers: servers.all,
      processes: this.#processes,
      process: (name) => {
        const found = this.#processes.get(name);
        if (found === undefined) throw new Error(`the fleet has no process ${name}`);
        return found;
      },
      logTails: (names) => this.#tails(names),
      broken: this.#broken.signal,
      keep: () => this.#temporary?.keep(),
      stop: () => this.stop(),
    };
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** The error with the logs that may explain it. */
  async explain(reason: unknown): Promise<unknown> {
    if (!(reason instanceof NotReadyError)) return reason;
    return new FleetError(reason.message, await this.#tails(reason.suspects), reason);
  }

  #tails(names: readonly string[]): Promise<LogTail[]> {
    const found = names.flatMap((name) => this.#processes.get(name) ?? []);
    return Promise.all(found.map(tailOf));
  }

  async #makeDirectory(): Promise<string> {
    const { dir, keep } = this.#options;
    if (dir === undefined) {
      this.#temporary = await temporaryDirectory("slipway-fleet-", { keep });
      this.#dir = this.#temporary.path;
    } else {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      this.#dir = await realpath(dir);
      guard().directory(dataFolder(this.#dir), { keep: true });
    }
    // Root's Postgres runs as another user, who must get through to its part.
    if (process.getuid?.() === 0) await chmod(this.#dir, 0o711);
    return this.#dir;
  }

  async #planOn({ postgres, nats, regionNats }: FleetServers, dir: string): Promise<FleetPlan> {
    const [databaseUrl, replicationDatabaseUrl] = await Promise.all([
      postgres.server.createDatabase("slipway"),
      postgres.server.createDatabase("slipway_replication"),
    ]);
    const urls = [...regionNats].map(([region, { server }]) => [region, server.url]);
    const ground = {
      dir,
      natsUrl: nats.server.url,
      regionNatsUrls: Object.fromEntries(urls) as Record<string, string>,
      databaseUrl,
      replicationDatabaseUrl,
    };
    return planFleet(this.#options, ground, freePort);
  }

  #plan(plan: FleetPlan): void {
    const env = processEnvironment(process.env, process.execPath);
    const programs = {
      coordinator: programOf(require.resolve("@slipway/coordinator"), "slipway-coordinator"),
      agent: programOf(require.resolve("@slipway/agent"), "slipway-agent"),
    };
    for (const each of planProcesses(plan)) {
      const created = new FleetProcess({
        ...each,
        dir: plan.dir,
        program: each.kind === "coordinator" ? programs.coordinator : programs.agent,
        env,
        onUnexpectedExit: (ended, exit) => {
          if (this.#stopping === undefined) void this.#break(ended, exit.signal ?? exit.code);
        },
      });
      this.#processes.set(each.name, created);
    }
  }

  async #startAll(kind: ProcessKind): Promise<void> {
    for (const each of this.#processes.values()) {
      this.#broken.signal.throwIfAborted();
      if (each.kind === kind) await each.start();
    }
  }

  readonly #giveUp = (): void => this.#broken.abort(this.#options.signal.reason);

  async #break(ended: FleetProcess, how: number | string | null): Promise<void> {
    this.#broken.abort(new FleetError(`${ended.name} ended: ${how}`, [await tailOf(ended)]));
  }

  async #stop(): Promise<void> {
    this.#options.signal.removeEventListener("abort", this.#giveUp);
    for (const client of this.#clients) client.close();
    const processes = [...this.#processes.values()];
    const agents = processes.filter(({ kind }) => kind !== "coordinator");
    await Promise.all(agents.map((each) => each.stop(5_000)));
    await Promise.all(processes.map((each) => each.stop(5_000)));
    await Promise.all(this.#servers.map((server) => server.stop()));
    if (this.#dir !== undefined) {
      // Only where the fleet works: the rest may be open in somebody's editor.
      await endLeftovers(dataFolder(this.#dir));
      if (this.#temporary === undefined) guard().forgetDirectory(dataFolder(this.#dir));
    }
    await this.#temporary?.remove();
  }
}

async function tailOf(each: FleetProcess): Promise<LogTail> {
  return { name: each.name, tail: await each.logTail(15) };
}

/** The JavaScript file of a command of the package that has this entry file. */
function programOf(entry: string, command: string): string {
  return path.resolve(path.dirname(entry), "..", "bin", `${command}.js`);
}
