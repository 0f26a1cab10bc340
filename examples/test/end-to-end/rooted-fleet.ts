import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import {
  type HostConfig,
  type RegionConfig,
  type RunningAgent,
  startBuilder,
  startHost,
  startRegion,
} from "@slipway/agent";
import {
  type Coordinator,
  type CoordinatorOptions,
  issueToken,
  type IssueTerms,
  startCoordinator,
} from "@slipway/coordinator";
import { rawPublicKey, Role, shortKeyId, signKeySet } from "@slipway/proto";
import { type Client, createClient, type Host } from "@slipway/sdk";
import { pino } from "pino";
import { freePort, startNats, startPostgres } from "../../src/servers/index.js";

/** Certificates hold so long here: a third less until they are renewed. */
const VALID_MS = 15_000;
const HOSTS = ["h1", "h2"] as const;

export interface NamedPair {
  privateKey: KeyObject;
  publicKey: KeyObject;
  keyId: string;
  /** Of the private key. */
  file: string;
}

export interface KeyChoice {
  goal: readonly NamedPair[];
  membership: readonly NamedPair[];
}

/** One region with two hosts, whose agents know the root key of the fleet and nothing else. */
export class RootedFleet {
  readonly dir: string;
  readonly #root: NamedPair;
  readonly #ends: (() => Promise<unknown> | void)[] = [];
  readonly #errors: string[] = [];
  #options: CoordinatorOptions | undefined;
  #coordinator: Coordinator | undefined;
  #client: Client | undefined;
  #natsUrl = "";
  #seeder = { host: "127.0.0.1", port: 0 };
  #address = { host: "127.0.0.1", port: 0 };

  private constructor(dir: string, root: NamedPair) {
    this.dir = dir;
    this.#root = root;
  }

  /** Starts the servers, and a coordinator with these keys; no agent yet. */
  static async open(makeKeys: (fleet: RootedFleet) => Promise<KeyChoice>): Promise<RootedFleet> {
    const dir = await mkdtemp(path.join(tmpdir(), "slipway-rooted-"));
    // Run by root, Postgres has another user, who passes through.
    await chmod(dir, 0o711);
    const fleet = new RootedFleet(dir, await makePair(dir, "root"));
    fleet.#ends.push(() => rm(dir, { recursive: true, force: true }));
    await fleet.#start(await makeKeys(fleet));
    return fleet;
  }

  key(name: string): Promise<NamedPair> {
    return makePair(this.dir, name);
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error("not open");
    return this.#client;
  }

  get natsUrl(): string {
    return this.#natsUrl;
  }

  /** Of the swarm. */
  get seeder(): { host: string; port: number } {
    return this.#seeder;
  }

  /** What agents have logged as an error. */
  get errors(): readonly string[] {
    return this.#errors;
  }

  /** Has the coordinators publish a key set, as an operator does who replaces its file. */
  async publish(version: number, { goal, membership }: KeyChoice): Promise<void> {
    const set = {
      version,
      issueTime: new Date(),
      goalKeys: goal.map(listed),
      membershipKeys: membership.map(listed),
      revokedKeyIds: [],
    };
    const file = this.#file("key-set");
    await writeFile(`${file}.new`, signKeySet(set, [this.#root.privateKey]));
    await rename(`${file}.new`, file);
  }

  /** The coordinator is stopped and another started, on the same address. */
  async restartCoordinator(goal: NamedPair, membership: NamedPair): Promise<void> {
    if (this.#options === undefined) throw new Error("not open");
    await this.#coordinator?.stop();
    this.#options = {
      ...this.#options,
      listen: this.#address,
      goalKeyFile: goal.file,
      membershipKeyFile: membership.file,
    };
    this.#coordinator = await startCoordinator(this.#options, { log: pino({ level: "silent" }) });
  }

  /** Starts the region agent, the hosts and a builder; each joins by a token. */
  async startAgents(): Promise<void> {
    const log = pino(
      { level: "error" },
      { write: (line) => this.#errors.push((JSON.parse(line) as { msg: string }).msg) },
    );
    this.#ends.push(await stopping(startRegion(this.#regionConfig(), log)));
    for (const id of HOSTS) {
      this.#ends.push(await stopping(startHost(await this.#hostConfig(id), log)));
    }
    const builder = await startBuilder({
      id: "b1",
      coordinator: this.#coordinatorAddress(),
      blobStore: this.#file("blobs-main"),
      dataDir: this.#file("builder"),
      log,
    });
    this.#ends.push(() => builder.stop());
  }

  async hosts(): Promise<Host[]> {
    const { items } = await this.client.fleet.hostsPage({ region: "eu" });
    return items;
  }

  /** Which processes the hosts' releases are. */
  async processes(application: string): Promise<string[]> {
    const files = HOSTS.map((id) => this.#file(`data-${id}/apps/${application}/process.json`));
    return Promise.all(files.map((file) => readFile(file, "utf8")));
  }

  identityFile(id: string): string {
    return this.#file(`${id}.json`);
  }

  async close(): Promise<void> {
    this.#client?.close();
    for (const end of this.#ends.splice(0).toReversed()) await end();
  }

  async #start({ goal, membership }: KeyChoice): Promise<void> {
    const [goalKey, membershipKey] = [goal[0], membership[0]];
    if (goalKey === undefined || membershipKey === undefined) throw new Error("no keys");
    for (const name of ["main", "eu"]) await mkdir(this.#file(`blobs-${name}`));
    const postgres = await startPostgres({ dir: this.#file("postgres") });
    this.#ends.push(() => postgres.stop());
    const nats = await startNats({ dir: this.#file("nats") });
    this.#ends.push(() => nats.stop());
    this.#natsUrl = nats.url;
    this.#seeder.port = await freePort();
    this.#address.port = await freePort();
    const databaseUrl = await postgres.createDatabase("main");
    await this.publish(1, { goal: [goalKey], membership: [membershipKey] });
    this.#options = {
      listen: this.#address,
      authentication: "none",
      databaseUrl,
      replicationDatabaseUrl: await postgres.createDatabase("replication"),
      natsUrls: [this.#natsUrl],
      keySetFile: this.#file("key-set"),
      rootPublicKeyFiles: [`${this.#root.file}.pub`],
      membershipValidForMs: VALID_MS,
      keySetIntervalMs: 200,
      projectionIntervalMs: 500,
    };
    await this.restartCoordinator(goalKey, membershipKey);
    this.#ends.push(() => this.#coordinator?.stop());
    const token = (name: string, terms: Omit<IssueTerms, "name" | "expireTime">) =>
      this.#token(databaseUrl, { name, ...terms });
    await token("hosts", { role: "enrol", region: "eu", memberRole: Role.HOST });
    await token("agents", { role: "enrol", region: "eu", memberRole: Role.REGION });
    this.#client = createClient({ coordinator: this.#coordinatorAddress() });
  }

  async #token(databaseUrl: string, terms: Omit<IssueTerms, "expireTime">): Promise<void> {
    const expireTime = new Date(Date.now() + 3_600_000);
    const { text } = await issueToken(databaseUrl, { ...terms, expireTime }, "a test");
    await writeFile(this.#file(terms.name), text);
  }

  #coordinatorAddress(): string {
    return `${this.#address.host}:${this.#address.port}`;
  }

  #file(name: string): string {
    return path.join(this.dir, name);
  }

  #common(id: string) {
    return {
      id,
      logLevel: "error" as const,
      region: "eu",
      coordinator: this.#coordinatorAddress(),
      regionNats: [this.#natsUrl],
      dataDir: this.#file(`data-${id}`),
      identityFile: this.identityFile(id),
      rootPublicKeyFiles: [`${this.#root.file}.pub`],
      goalPublicKeyFiles: [],
      bootstrap: [this.#seeder],
    };
  }

  #regionConfig(): RegionConfig {
    return {
      ...this.#common("eu-1"),
      joinTokenFile: this.#file("agents"),
      nats: [this.#natsUrl],
      mainBlobStore: this.#file("blobs-main"),
      blobStore: this.#file("blobs-eu"),
      blobStoreShared: true,
      listen: this.#seeder,
      cells: [],
      recheckMs: 3_600_000,
    };
  }

  async #hostConfig(id: string): Promise<HostConfig> {
    const { PATH, HOME, LANG } = process.env;
    return {
      ...this.#common(id),
      joinTokenFile: this.#file("hosts"),
      cell: "default",
      neighbourCells: [],
      labels: { tier: "web" },
      listen: { host: "127.0.0.1", port: await freePort() },
      environment: {
        PATH: PATH ?? "",
        HOME: HOME ?? "/",
        LANG: LANG ?? "C.UTF-8",
        PORT: String(await freePort()),
      },
      storeMaxBytes: 1024 ** 3,
      stopReleasesOnExit: true,
    };
  }
}

const listed = ({ publicKey }: NamedPair) => ({
  publicKey: rawPublicKey(publicKey),
  notAfter: undefined,
});

async function stopping(starting: Promise<RunningAgent>): Promise<() => Promise<void>> {
  const agent = await starting;
  return () => agent.stop();
}

async function makePair(dir: string, name: string): Promise<NamedPair> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const file = path.join(dir, `${name}.key`);
  await writeFile(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  await writeFile(`${file}.pub`, publicKey.export({ type: "spki", format: "pem" }));
  return { privateKey, publicKey, keyId: shortKeyId(publicKey), file };
}
