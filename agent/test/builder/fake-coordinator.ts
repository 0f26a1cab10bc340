import { setTimeout as delay } from "node:timers/promises";
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ServerDuplexStream,
} from "@grpc/grpc-js";
import {
  type Artifact,
  type BuildFailure,
  BuildSpec,
  BuilderServiceService,
  type Lease,
  SourceSpec,
  WorkAccepted_Kind,
  WorkLeased,
  type WorkLogLine,
  WorkLost_Reason,
  type WorkRequest,
  type WorkResponse,
  durationFromMs,
  setErrorDetails,
} from "@slipway/proto";

type Stream = ServerDuplexStream<WorkRequest, WorkResponse>;

/** One lease as the coordinator sees it. */
export interface Observed {
  lease: Lease;
  lines: WorkLogLine[];
  /** Every batch number that came, repeated ones too. */
  batches: number[];
  /** The last batch came. */
  isLogWhole: boolean;
  heartbeats: number;
  artifact?: Artifact;
  failure?: BuildFailure;
  retry?: boolean;
  /** How often a result came. */
  results: number;
}

/** A real gRPC server that answers a builder as a coordinator does, and can be told not to. */
export class FakeCoordinator {
  readonly observed = new Map<string, Observed>();
  readonly ready: number[] = [];
  leaseMs = 3000;
  acknowledgeLogs = true;
  answerResults = true;
  /** As one that is older does not. */
  takesSeveral = true;
  /** Cases of what came as one message. */
  readonly several: string[][] = [];
  streams = 0;
  #stream: Stream | undefined;
  #server: Server;
  #port = 0;
  #count = 0;

  constructor() {
    this.#server = this.#createServer();
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    this.#port = await new Promise<number>((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync(`127.0.0.1:${this.#port}`, credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  /** Goes away, with its streams. */
  close(): void {
    this.#server.forceShutdown();
    this.#stream = undefined;
  }

  /** Comes back at the same address. */
  async restart(): Promise<void> {
    this.close();
    this.#server = this.#createServer();
    await this.listen();
  }

  /** Breaks the present stream. */
  breakStream(): void {
    this.#stream?.emit("error", Object.assign(new Error("broken"), { code: 14 }));
    this.#stream = undefined;
  }

  /** Ends the present stream as a coordinator does when another process comes by the same id. */
  replaceStream(message: string): void {
    const metadata = new Metadata();
    setErrorDetails(metadata, status.ABORTED, message, {
      reason: "STREAM_REPLACED",
      violations: [],
    });
    this.#stream?.emit("error", Object.assign(new Error(message), { code: 10, metadata }));
    this.#stream = undefined;
  }

  /** Leases a build to the builder, once one is connected. */
  async lease(
    source: Partial<SourceSpec>,
    commitSha: string,
    build: Partial<BuildSpec>,
    lease?: Lease,
  ): Promise<Observed> {
    await until(() => this.#stream !== undefined && this.ready.length > 0, "a builder");
    this.#count += 1;
    const made = lease ?? { buildId: `build-${this.#count}`, attempt: 1 };
    const observed: Observed = {
      lease: made,
      lines: [],
      batches: [],
      isLogWhole: false,
      heartbeats: 0,
      results: 0,
    };
    this.observed.set(`${made.buildId}/${made.attempt}`, observed);
    const value = WorkLeased.fromPartial({
      lease: made,
      application: "app",
      applicationRevision: 1,
      commitSha,
      source: SourceSpec.fromPartial(source),
      build: BuildSpec.fromPartial(build),
    });
    this.#say({ $case: "leased", value });
    return observed;
  }

  lose(lease: Lease): void {
    this.#say({ $case: "lost", value: { lease, reason: WorkLost_Reason.SUPERSEDED, message: "" } });
  }

  #say(message: NonNullable<WorkResponse["message"]>): void {
    this.#stream?.write({ message });
  }

  #createServer(): Server {
    const server = new Server();
    server.addService(BuilderServiceService, { work: (stream: Stream) => this.#work(stream) });
    return server;
  }

  #work(stream: Stream): void {
    this.streams += 1;
    stream.on("error", () => undefined);
    stream.on("end", () => stream.end());
    stream.on("data", ({ message }: WorkRequest) => {
      if (message?.$case !== "several") return this.#hear(stream, message);
      const sayings = message.value.requests.map((one) => one.message);
      this.several.push(sayings.map((saying) => saying?.$case ?? ""));
      for (const saying of sayings) this.#hear(stream, saying);
    });
  }

  #hear(stream: Stream, message: WorkRequest["message"]): void {
    switch (message?.$case) {
      case "hello": {
        this.#stream = stream;
        const leaseDuration = durationFromMs(this.leaseMs);
        stream.write({
          message: { $case: "welcome", value: { leaseDuration, takesSeveral: this.takesSeveral } },
        });
        break;
      }
      case "ready":
        this.ready.push(message.value.freeSlots);
        break;
      case "heartbeat":
        this.#accept(stream, WorkAccepted_Kind.HEARTBEAT, message.value.leases);
        break;
      case "logs": {
        const { lease, batch, lines, last } = message.value;
        const observed = this.#find(lease);
        if (observed === undefined) break;
        if (!observed.batches.includes(batch)) observed.lines.push(...lines);
        observed.batches.push(batch);
        observed.isLogWhole ||= last;
        if (!this.acknowledgeLogs) break;
        stream.write({ message: { $case: "logsAccepted", value: { lease, batch } } });
        break;
      }
      case "complete":
      case "fail": {
        const observed = this.#find(message.value.lease);
        if (observed === undefined) break;
        observed.results += 1;
        if (!this.answerResults) break;
        const complete = message.$case === "complete";
        if (complete) Object.assign(observed, { artifact: message.value.artifact });
        else {
          const { failure, retry } = message.value;
          Object.assign(observed, { failure, retry });
        }
        const kind = complete ? WorkAccepted_Kind.COMPLETE : WorkAccepted_Kind.FAIL;
        this.#accept(stream, kind, [observed.lease]);
        break;
      }
      default:
    }
  }

  #accept(stream: Stream, kind: WorkAccepted_Kind, leases: Lease[]): void {
    if (kind === WorkAccepted_Kind.HEARTBEAT) {
      for (const lease of leases) {
        const observed = this.#find(lease);
        if (observed !== undefined) observed.heartbeats += 1;
      }
    }
    stream.write({ message: { $case: "accepted", value: { kind, leases } } });
  }

  #find(lease: Lease | undefined): Observed | undefined {
    return this.observed.get(`${lease?.buildId}/${lease?.attempt}`);
  }
}

/** Waits until it is so. Throws if it is not in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 15_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await delay(10);
  }
}

/** Waits for the build's result. */
export async function result(observed: Observed, timeoutMs = 15_000): Promise<Observed> {
  await until(
    () => observed.artifact !== undefined || observed.failure !== undefined,
    `the result of ${observed.lease.buildId}`,
    timeoutMs,
  );
  return observed;
}
