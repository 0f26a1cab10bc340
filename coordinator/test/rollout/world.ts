import { execFile } from "node:child_process";
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { chmod, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { startNats, startPostgres } from "@slipway/examples/servers";
import {
  ApplicationServiceClient,
  ApplicationSpec,
  ArtifactFormat,
  CreateDeploymentRequest,
  DeploymentServiceClient,
  FleetServiceClient,
  getErrorDetails,
  ReplicationServiceClient,
  ReplicationState,
  type Application,
  type Deployment,
  type ErrorDetails,
  type Strategy,
} from "@slipway/proto";
import knex, { type Knex } from "knex";
import { connect, type NatsConnection } from "nats";
import type { Registry } from "prom-client";
import { pino } from "pino";
import { startCoordinator, type Coordinator, type CoordinatorOptions } from "../../src/index.js";
import { uuidv7 } from "../../src/uuid.js";
import { call } from "../call.js";
import { CoordinatorProcess } from "../process.js";

const run = promisify(execFile);

/** A coordinator's clients. */
export interface Clients {
  applications: ApplicationServiceClient;
  deployments: DeploymentServiceClient;
  replication: ReplicationServiceClient;
  fleet: FleetServiceClient;
}

/** Real servers, and what a test says to them. Each world has its own databases and NATS. */
export interface World {
  db: Knex;
  replicationDb: Knex;
  nats: NatsConnection;
  postgres: Outage;
  natsServer: Outage;
  goalPublicKey: KeyObject;
  /** What coordinators logged, newest last. */
  logs: Record<string, unknown>[];
  /** Starts one more coordinator on the same servers. */
  coordinator(
    options?: Partial<CoordinatorOptions>,
    metrics?: Registry,
  ): Promise<Coordinator & { clients: Clients }>;
  /** The same, as a process of its own. */
  process(...args: string[]): Promise<CoordinatorProcess & { clients: Clients }>;
  stop(): Promise<void>;
}

/** A server that can be away for a while. What it keeps is there again afterwards. */
interface Outage {
  stop(): Promise<void>;
  start(): Promise<void>;
  /** It is there, and answers nothing any more, or goes on. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** It comes back with nothing of what it kept. */
  lose(): Promise<void>;
  /** Copies what it keeps, while it is stopped for that. */
  save(): Promise<void>;
  /** It comes back with what was saved. */
  restore(): Promise<void>;
}

/** A server whose data are kept over a stop; started again at the same address. */
async function startServer<Server extends { port: number; pid: number; stop(): Promise<void> }>(
  start: (options: { dir: string; port?: number }) => Promise<Server>,
  dir: string,
): Promise<{ server: Server; outage: Outage }> {
  const server = await start({ dir });
  let present: Server | undefined = server;
  const outage: Outage = {
    async stop() {
      await present?.stop();
      present = undefined;
    },
    async start() {
      present ??= await start({ dir, port: server.port });
    },
    signal(name) {
      if (present !== undefined) process.kill(present.pid, name);
    },
    async lose() {
      await outage.stop();
      await rm(dir, { recursive: true });
      await outage.start();
    },
    async save() {
      await outage.stop();
      // Whose files they are is part of it.
      await run("cp", ["-a", dir, `${dir}.saved`]);
      await outage.start();
    },
    async restore() {
      await outage.stop();
      await rm(dir, { recursive: true });
      await rename(`${dir}.saved`, dir);
      await outage.start();
    },
  };
  return { server, outage };
}

export async function startWorld(): Promise<World> {
  const ends: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  };
  try {
    const folder = await mkdtemp(path.join(tmpdir(), "slipway-coordinator-test-"));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    // Run by root, Postgres has another user, who passes through.
    await chmod(folder, 0o711);
    const { server: postgres, outage: postgresOutage } = await startServer(
      startPostgres,
      path.join(folder, "postgres"),
    );
    ends.push(() => postgresOutage.stop());
    const { server: natsServer, outage: natsOutage } = await startServer(
      startNats,
      path.join(folder, "nats"),
    );
    ends.push(() => natsOutage.stop());
    const nats = await connect({
      servers: natsServer.url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
    });
    ends.push(() => nats.close());
    const databaseUrl = await postgres.createDatabase("main");
    const replicationDatabaseUrl = await postgres.createDatabase("replication");
    const open = (connection: string): Knex => {
      const db = knex({ client: "pg", connection, pool: { min: 0, max: 3 } });
      ends.push(() => db.destroy());
      return db;
    };
    const goalKeyFile = path.join(folder, "goal.pem");
    const { privateKey } = generateKeyPairSync("ed25519");
    await writeFile(goalKeyFile, privateKey.export({ type: "pkcs8", format: "pem" }), {
      mode: 0o600,
    });
    const logs: Record<string, unknown>[] = [];
    const log = pino({ level: "debug" }, { write: (line) => void logs.push(JSON.parse(line)) });
    const base = {
      databaseUrl,
      replicationDatabaseUrl,
      natsUrls: [natsServer.url],
      goalKeyFile,
      authentication: "none" as const,
    };
    return {
      db: open(databaseUrl),
      replicationDb: open(replicationDatabaseUrl),
      nats,
      postgres: postgresOutage,
      natsServer: natsOutage,
      goalPublicKey: createPublicKey(privateKey),
      logs,
      async coordinator(options = {}, metrics) {
        const listen = { host: "127.0.0.1", port: 0 };
        const started = await startCoordinator({ ...base, listen, ...options }, { log, metrics });
        ends.push(() => started.stop());
        const clients = connectClients(started.address);
        ends.push(async () => Object.values(clients).forEach((client) => client.close()));
        return { ...started, clients };
      },
      async process(...args) {
        const started = await CoordinatorProcess.start([
          "serve",
          "--listen=127.0.0.1:0",
          "--insecure",
          `--database-url=${databaseUrl}`,
          `--replication-database-url=${replicationDatabaseUrl}`,
          `--nats=${natsServer.url}`,
          `--goal-key=${goalKeyFile}`,
          ...args,
        ]);
        ends.push(() => started.end("SIGKILL"));
        const clients = connectClients(started.address);
        ends.push(async () => Object.values(clients).forEach((client) => client.close()));
        return Object.assign(started, { clients });
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function connectClients(address: string): Clients {
  const security = credentials.createInsecure();
  return {
    applications: new ApplicationServiceClient(address, security),
    deployments: new DeploymentServiceClient(address, security),
    replication: new ReplicationServiceClient(address, security),
    fleet: new FleetServiceClient(address, security),
  };
}

/** The error that a promise ends with, with what it says to programs. */
export async function failure(
  promise: Promise<unknown>,
): Promise<Pick<ServiceError, "code" | "details"> & Partial<ErrorDetails>> {
  try {
    await promise;
  } catch (error) {
    const { code, details, metadata } = error as ServiceError;
    return { code, details, ...getErrorDetails(metadata) };
  }
  throw new Error("the call should have failed");
}

/** Waits until the check answers something, and answers that. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  while (true) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(20);
  }
}

/** A strategy, as far as a test says something of it. */
export type TestStrategy = NonNullable<Parameters<typeof Strategy.fromPartial>[0]>;

/** All hosts at once, with no time to bake. */
export const AT_ONCE: TestStrategy = {
  waves: [{ regions: ["*"], percents: [100], bakeTime: { seconds: 0 } }],
  maxSwitchingPercent: 100,
};

/** Applies an application; the same name with another version makes another revision. */
export async function applyApplication(
  { applications }: Clients,
  name: string,
  regions: string[],
  {
    version = "1",
    selector = {},
    environment = {},
    strategy = AT_ONCE,
  }: {
    version?: string;
    selector?: Record<string, string>;
    environment?: Record<string, string>;
    strategy?: TestStrategy;
  } = {},
): Promise<Application> {
  const spec = ApplicationSpec.fromPartial({
    source: { repository: "https://example.test/repository.git" },
    build: { command: ["make"], artifactPath: "out/server" },
    run: {
      command: ["./server"],
      environment: { VERSION: version, ...environment },
      artifactFormat: ArtifactFormat.EXECUTABLE,
    },
    regions,
    selector,
    strategy,
  });
  const request = { name, spec, expectedRevision: 0, actor: "", reason: "" };
  const { application } = await call(applications, "applyApplication", request);
  if (application === undefined) throw new Error("no application");
  return application;
}

/** A build as it is in the database, with its artifact. */
export interface TestBuild {
  id: string;
  digest: string;
  commitSha: string;
}

/** Puts a build into the database as the queue leaves it. */
export async function insertBuild(
  db: Knex,
  { name, revision }: Pick<Application, "name" | "revision">,
  status: "SUCCEEDED" | "FAILED" | "QUEUED" = "SUCCEEDED",
): Promise<TestBuild> {
  const id = uuidv7();
  const commitSha = createHash("sha1").update(id).digest("hex");
  const digest = `sha256:${createHash("sha256").update(id).digest("hex")}`;
  await db("builds").insert({
    id,
    application: name,
    application_revision: revision,
    commit_sha: commitSha,
    status,
    max_attempts: 3,
    run_limit_ms: 60_000,
    ...(status === "QUEUED" ? {} : { finish_time: db.fn.now() }),
    ...(status === "FAILED" ? { failure_reason: 7, failure_message: "make: exit 2" } : {}),
    ...(status === "SUCCEEDED"
      ? {
          artifact_digest: digest,
          artifact_size_bytes: 1_000,
          artifact_chunk_count: 1,
          artifact_platform: "linux/x64",
        }
      : {}),
  });
  if (status === "SUCCEEDED") await db("unplanned_builds").insert({ build_id: id });
  return { id, digest, commitSha };
}

/** Says what regions hold of an artifact. */
export async function replicate(
  { replication }: Clients,
  artifactDigest: string,
  regions: readonly string[],
  state: ReplicationState = ReplicationState.COMPLETE,
): Promise<void> {
  for (const region of regions) {
    const request = { region, artifactDigest, state, bytesCopied: 400, message: "" };
    await call(replication, "reportReplication", request);
  }
}

/** Deploys a build of a new application that is in the eu region's store already. */
export async function deployNew(
  { db }: Pick<World, "db">,
  clients: Clients,
  name: string,
  options: Parameters<typeof applyApplication>[3] = {},
): Promise<Deployment> {
  const application = await applyApplication(clients, name, ["eu"], options);
  const build = await insertBuild(db, application);
  await replicate(clients, build.digest, ["eu"]);
  return createDeployment(clients, { buildId: build.id });
}

/** Deploys a build. */
export async function createDeployment(
  { deployments }: Clients,
  request: Partial<CreateDeploymentRequest>,
): Promise<Deployment> {
  const whole = CreateDeploymentRequest.fromPartial(request);
  const { deployment } = await call(deployments, "createDeployment", whole);
  if (deployment === undefined) throw new Error("no deployment");
  return deployment;
}
