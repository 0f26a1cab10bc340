import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { credentials, type ClientDuplexStream } from "@grpc/grpc-js";
import {
  answersIn,
  ApplicationServiceClient,
  BuilderServiceClient,
  BuildServiceClient,
  type Artifact,
  type Lease,
  type WorkAnswer,
  type WorkRequest,
  type WorkResponse,
} from "@slipway/proto";
import { startNats, startPostgres } from "@slipway/examples/servers";
import type { CoordinatorOptions } from "../src/config.js";
import { startCoordinator, type Coordinator } from "../src/index.js";
import { generateKey } from "../src/keygen.js";
import { silent } from "./postgres.js";

/** Real servers, and coordinators on them. */
export interface TestFleet {
  databaseUrl: string;
  stopPostgres(): Promise<void>;
  /** Again, on the same port and data. */
  startPostgres(): Promise<void>;
  stopNats(): Promise<void>;
  startNats(): Promise<void>;
  /** Stops it, and loses all that it kept. */
  loseNats(): Promise<void>;
  start(options?: Partial<CoordinatorOptions>): Promise<Coordinator>;
  close(): Promise<void>;
}

export async function startFleet(): Promise<TestFleet> {
  const dir = await mkdtemp(path.join(tmpdir(), "slipway-coordinator-"));
  // Postgres may run as another user, who passes through.
  await chmod(dir, 0o711);
  const goalKeyFile = path.join(dir, "goal-key");
  await generateKey(goalKeyFile);
  // In folders of their own, so that they can be started again on what they hold.
  let postgres = await startPostgres({ dir: path.join(dir, "postgres") });
  let nats = await startNats({ dir: path.join(dir, "nats") });
  const databaseUrl = await postgres.createDatabase("main");
  const replicationDatabaseUrl = await postgres.createDatabase("replication");
  const running: Coordinator[] = [];
  return {
    databaseUrl,
    stopPostgres: () => postgres.stop(),
    async startPostgres() {
      postgres = await startPostgres({ dir: path.join(dir, "postgres"), port: postgres.port });
    },
    stopNats: () => nats.stop(),
    async loseNats() {
      await nats.stop();
      await rm(path.join(dir, "nats"), { recursive: true });
    },
    async startNats() {
      nats = await startNats({ dir: path.join(dir, "nats"), port: nats.port });
    },
    async start(options = {}) {
      const coordinator = await startCoordinator(
        {
          listen: { host: "127.0.0.1", port: 0 },
          databaseUrl,
          replicationDatabaseUrl,
          natsUrls: [nats.url],
          goalKeyFile,
          stopTimeoutMs: 2_000,
          authentication: "none",
          ...options,
        },
        { log: silent },
      );
      running.push(coordinator);
      return coordinator;
    },
    async close() {
      await Promise.all(running.map((coordinator) => coordinator.stop()));
      await nats.stop();
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Clients of one coordinator. */
export function connectTo({ address }: Coordinator) {
  const insecure = credentials.createInsecure();
  const applications = new ApplicationServiceClient(address, insecure);
  const builds = new BuildServiceClient(address, insecure);
  const builders = new BuilderServiceClient(address, insecure);
  return {
    applications,
    builds,
    builders,
    close() {
      for (const client of [applications, builds, builders]) client.close();
    },
  };
}

/** What a test's builder says that it made. */
export const artifactOf = (fill: string): Artifact => ({
  digest: `sha256:${fill.repeat(64)}`,
  sizeBytes: 1_000,
  chunkCount: 1,
  platform: "linux/x64",
});

/** What each kind of message holds. */
type Values = { [Message in WorkAnswer as Message["$case"]]: Message["value"] };

/** A builder's end of its stream. */
export class TestBuilder {
  readonly #call: ClientDuplexStream<WorkRequest, WorkResponse>;
  readonly #waiting: WorkAnswer[] = [];
  readonly #ended: Promise<Error | undefined>;
  /** Of what was heard, as one message. */
  mostAtOnce = 0;
  #wake: () => void = () => undefined;

  constructor(client: BuilderServiceClient) {
    this.#call = client.work();
    this.#call.on("data", (response: WorkResponse) => {
      const answers = answersIn(response).filter((answer) => answer !== undefined);
      this.mostAtOnce = Math.max(this.mostAtOnce, answers.length);
      this.#waiting.push(...answers);
      this.#wake();
    });
    this.#ended = new Promise((resolve) => {
      this.#call.on("error", resolve);
      this.#call.on("end", () => resolve(undefined));
    });
  }

  say(message: WorkRequest["message"]): void {
    this.#call.write({ message });
  }

  /** Says hello and how many builds it takes. */
  async hello(
    builderId: string,
    freeSlots: number,
    { signsProvenance = false, takesSeveral = false } = {},
  ): Promise<void> {
    const how = { signsProvenance, process: undefined, takesSeveral };
    const about = { builderId, platform: "linux/x64", ...how };
    this.say({ $case: "hello", value: about });
    await this.hear("welcome");
    this.ready(freeSlots, 0);
  }

  ready(freeSlots: number, leasesReceived: number): void {
    this.say({ $case: "ready", value: { freeSlots, leasesReceived } });
  }

  /** The next message of a kind, in a few seconds; others are kept. */
  async hear<Case extends keyof Values>(kind: Case, timeoutMs = 10_000): Promise<Values[Case]> {
    const deadline = Date.now() + timeoutMs;
    while (true) {
      const index = this.#waiting.findIndex(({ $case }) => $case === kind);
      const [said] = index >= 0 ? this.#waiting.splice(index, 1) : [];
      if (said !== undefined) return said.value as Values[Case];
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no ${kind} within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** What is heard and not asked for yet. */
  get unheard(): readonly WorkAnswer[] {
    return this.#waiting;
  }

  log(lease: Lease, batch: number, ...texts: string[]): void {
    const lines = texts.map((text) => ({ time: new Date(), source: 1, text }));
    this.say({ $case: "logs", value: { lease, batch, lines, last: false, givenUp: false } });
  }

  /** The last batch, after which the log is whole. */
  endLog(lease: Lease, batch: number, { givenUp = false, text = "" } = {}): void {
    const lines = text === "" ? [] : [{ time: new Date(), source: 1, text }];
    this.say({ $case: "logs", value: { lease, batch, lines, last: true, givenUp } });
  }

  complete(lease: Lease, fill = "a", provenance: Buffer = Buffer.alloc(0)): void {
    this.say({ $case: "complete", value: { lease, artifact: artifactOf(fill), provenance } });
  }

  /** How the stream ended: its error, or undefined for a plain end. */
  ended(): Promise<Error | undefined> {
    return this.#ended;
  }

  cut(): void {
    this.#call.cancel();
  }

  end(): void {
    this.#call.end();
  }
}
