import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  ArtifactFormat,
  durationFromMs,
  Goal,
  GOAL_SIGNATURE_CONTEXT,
  Release,
  RevocationList,
  REVOCATIONS_SIGNATURE_CONTEXT,
  RunSpec,
  SignedGoal,
  SignedRevocationList,
  type HostApplicationStatus,
  type HostPhase,
} from "@slipway/proto";
import { pino } from "pino";
import { HostApplications } from "../../src/host/host-applications.js";
import type { SelfUpdate } from "../../src/host/self-update.js";
import type { Stager } from "../../src/host/stage.js";
import { goalKeyId } from "../../src/host/verify-goal.js";
import { type GoalKeys, TrustedKeys } from "../../src/trust/trusted-keys.js";
import type { FetchOptions, FetchProgress, Priority } from "../../src/swarm/index.js";

export const log = pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" });

/** Waits until the condition gives something, or fails saying what was waited for. */
export async function eventually<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`not in ${timeoutMs} ms: ${what}`);
    await delay(20);
  }
}

/** A fresh folder, removed by the function beside it. */
export async function temporaryFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), "slipway-host-"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A key that signs goals, and what a host needs to check them. */
export class GoalSigner {
  readonly #private: KeyObject;
  readonly publicKey: KeyObject;
  readonly keyId: string;

  /** @param pem of the private key; a new one unless given. */
  constructor(pem?: string) {
    this.#private =
      pem === undefined ? generateKeyPairSync("ed25519").privateKey : createPrivateKey(pem);
    this.publicKey = createPublicKey(this.#private);
    this.keyId = goalKeyId(this.publicKey);
  }

  get pem(): string {
    return this.#private.export({ format: "pem", type: "pkcs8" }).toString();
  }

  get keys(): GoalKeys {
    return TrustedKeys.fixed({ goalKeys: [this.publicKey] }).goals;
  }

  sign(goal: Goal): SignedGoal {
    const payload = Buffer.from(Goal.encode(goal).finish());
    const message = Buffer.concat([Buffer.from(GOAL_SIGNATURE_CONTEXT), payload]);
    return { payload, signature: sign(null, message, this.#private), keyId: this.keyId };
  }

  /** A SignedRevocationList. */
  revocations(
    version: number,
    hostIds: string[],
    context: string = REVOCATIONS_SIGNATURE_CONTEXT,
  ): Buffer {
    const list = { version, issueTime: undefined, hostIds };
    const payload = Buffer.from(RevocationList.encode(list).finish());
    const message = Buffer.concat([Buffer.from(context), payload]);
    const signed = { payload, signature: sign(null, message, this.#private), keyId: this.keyId };
    return Buffer.from(SignedRevocationList.encode(signed).finish());
  }

  bytes(goal: Goal): Buffer {
    return Buffer.from(SignedGoal.encode(this.sign(goal)).finish());
  }
}

/** Artifacts that are a fetch away, and those that are here. */
export class FakeStager implements Stager {
  fetches: string[] = [];
  /** Of each fetch in `fetches`. */
  priorities: (Priority | undefined)[] = [];
  /** Digest → what its fetch does before it ends. */
  readonly hooks = new Map<string, (signal: AbortSignal) => Promise<void>>();
  readonly #folder: string;
  readonly #remote = new Map<string, Buffer>();
  readonly #here = new Set<string>();

  constructor(folder: string) {
    this.#folder = path.join(folder, "artifacts");
  }

  /** Puts an artifact where it can be fetched, and gives its digest. */
  add(content: string | Buffer): { digest: string; size: number } {
    const bytes = Buffer.from(content);
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    this.#remote.set(digest, bytes);
    return { digest, size: bytes.length };
  }

  #file(digest: string): string {
    return path.join(this.#folder, digest.slice(7));
  }

  readonly store = {
    verify: (digest: string) => Promise.resolve(this.#here.has(digest)),
    path: (digest: string) =>
      Promise.resolve(this.#here.has(digest) ? this.#file(digest) : undefined),
    collect: () => Promise.resolve({ removed: [], freedBytes: 0, remainingBytes: 0 }),
  } as unknown as Stager["store"];

  readonly swarm: Stager["swarm"] = {
    announce: () => {},
    fetch: (digest, options) => this.#fetch(digest, options),
  };

  /** As if it had been collected. */
  drop(digest: string): void {
    this.#here.delete(digest);
  }

  async *#fetch(digest: string, { signal, priority }: FetchOptions): AsyncGenerator<FetchProgress> {
    this.fetches.push(digest);
    this.priorities.push(priority);
    const bytes = this.#remote.get(digest);
    await this.hooks.get(digest)?.(signal);
    if (bytes === undefined) throw new Error("nobody has it");
    yield {
      bytesDone: 0,
      total: bytes.length,
      fromPeers: 0,
      fromSeeders: 0,
      fromLocal: 0,
      fromReuse: 0,
    };
    await mkdir(this.#folder, { recursive: true });
    await writeFile(this.#file(digest), bytes, { mode: 0o444 });
    this.#here.add(digest);
    const total = bytes.length;
    yield { bytesDone: total, total, fromPeers: 0, fromSeeders: total, fromLocal: 0, fromReuse: 0 };
  }
}

/** A fetch that lasts until it is ended, or `go`. */
export class Gate {
  #go: () => void = () => {};
  readonly #gone = new Promise<void>((resolve) => (this.#go = resolve));
  /** How often a fetch waited here. */
  waits = 0;
  ends = 0;

  readonly hook = async (signal: AbortSignal): Promise<void> => {
    this.waits += 1;
    const ended = new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        this.ends += 1;
        reject(signal.reason as Error);
      });
    });
    await Promise.race([this.#gone, ended]);
  };

  go(): void {
    this.#go();
  }
}

/** A service that answers every GET with its version, its pid and an environment variable. */
export function serviceScript(version: string): string {
  return `#!/usr/bin/env node
const { createServer } = require("node:http");
console.log("serving ${version}");
createServer((request, response) => {
  response.end(JSON.stringify({ version: "${version}", pid: process.pid, env: process.env }));
}).listen(Number(process.env.PORT), "127.0.0.1");
`;
}

/** A run spec for an executable that serves on the host's http-port label. */
export function httpRun(options: { deadlineMs?: number; command?: string[] } = {}): RunSpec {
  return RunSpec.fromPartial({
    command: options.command ?? ["./service"],
    environment: { PORT: "${SLIPWAY_LABEL_HTTP_PORT}" },
    artifactFormat: ArtifactFormat.EXECUTABLE,
    executableName: "service",
    stopTimeout: durationFromMs(2_000),
    healthCheck: {
      check: { $case: "httpUrl", value: "http://127.0.0.1:${PORT}/" },
      interval: durationFromMs(50),
      timeout: durationFromMs(1_000),
      deadline: durationFromMs(options.deadlineMs ?? 10_000),
    },
  });
}

/** A goal of application "web" in region "eu". */
export function makeGoal(
  generation: number,
  release: { digest: string; size: number; run?: RunSpec; buildId?: string },
  more: Parameters<typeof Goal.fromPartial>[0] = {},
): Goal {
  return Goal.fromPartial({
    application: "web",
    region: "eu",
    generation,
    issueTime: new Date(1_700_000_000_000 + generation),
    deploymentId: `deployment-${generation}`,
    bucketLimit: 10_000,
    removed: false,
    run: Release.fromPartial({
      buildId: release.buildId ?? `build-${generation}`,
      commitSha: "c0ffee",
      artifactDigest: release.digest,
      artifactSizeBytes: release.size,
      applicationRevision: 1,
      run: release.run ?? httpRun(),
    }),
    ...more,
  });
}

/** A host with everything but a network. */
export class TestHost {
  readonly signer: GoalSigner;
  readonly stager: FakeStager;
  readonly applications: HostApplications;

  constructor(
    folder: string,
    port: number,
    parts: {
      signer?: GoalSigner;
      /** Default: the signer's. */
      keys?: GoalKeys;
      stager?: FakeStager;
      labels?: Record<string, string>;
      self?: { application: string; update: SelfUpdate };
    } = {},
  ) {
    this.signer = parts.signer ?? new GoalSigner();
    this.stager = parts.stager ?? new FakeStager(folder);
    this.applications = new HostApplications({
      dataDir: folder,
      host: {
        hostId: "h1",
        region: "eu",
        labels: { "http-port": String(port), ...parts.labels },
        base: { PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin` },
      },
      keys: parts.keys ?? this.signer.keys,
      stager: this.stager,
      storeMaxBytes: 1024 ** 3,
      log,
      onChange: () => {},
      self: parts.self,
    });
  }

  async obey(goal: Goal): Promise<void> {
    await this.applications.offer("web", this.signer.bytes(goal));
  }

  status(): HostApplicationStatus {
    const [status] = this.applications.statuses();
    if (status === undefined) throw new Error("no application");
    return status;
  }

  /** Waits until nothing is here, and nothing is told. */
  async forgets(): Promise<void> {
    await eventually("nothing to be told", () => this.applications.statuses().length === 0);
    // Goals are handled one after the other, and so is what follows when nothing is left.
    await this.applications.offer("nobody", Buffer.alloc(0));
  }

  /** Waits for a phase at a generation. */
  async reaches(generation: number, phase: HostPhase): Promise<HostApplicationStatus> {
    return eventually(`phase ${phase} at generation ${generation}`, () => {
      const status = this.status();
      return status.generation === generation && status.phase === phase && status;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(this.status())}`);
    });
  }
}

/** Asks the service; undefined if it does not answer. */
export async function ask(
  port: number,
): Promise<{ version: string; pid: number; env: Record<string, string> } | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, {
      signal: AbortSignal.timeout(2_000),
    });
    return (await response.json()) as { version: string; pid: number; env: Record<string, string> };
  } catch {
    return undefined;
  }
}
