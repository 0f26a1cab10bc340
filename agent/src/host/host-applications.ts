import { KeyObject } from "node:crypto";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import {
  HostApplicationStatus,
  HostFailureReason,
  HostPhase,
  type GoalVersion,
  type HostFailure,
} from "@slipway/proto";
import type { Logger } from "../log.js";
import { statIfThere } from "../store/files.js";
import type { GoalKeys, KeyFault } from "../trust/trusted-keys.js";
import { Application } from "./application.js";
import { hostFailure } from "./application-report.js";
import { Forgotten, LOG_FOLDER } from "./forgotten.js";
import { goalOrder, type GoalOrder } from "./goal-order.js";
import { LogFile } from "./log-file.js";
import { readLog, type LogRead } from "./read-log.js";
import type { HostEnvironment } from "./release-environment.js";
import { ReleaseFolders } from "./release-folders.js";
import type { SelfUpdate } from "./self-update.js";
import type { Stager } from "./stage.js";
import { Supervisor } from "./supervisor.js";
import { takesHost } from "./target.js";
import { GoalRefusedError, verifyGoal, type GoalFault, type VerifiedGoal } from "./verify-goal.js";

/** Refused goals of applications that this host does not have, that are reported at a time. */
const MAX_STRANGERS = 100;
const SWEEP_EVERY_MS = 6 * 3_600_000;
const CHECK_KEYS_EVERY_MS = 5_000;

interface HostApplicationsOptions {
  /** The host's data directory. */
  dataDir: string;
  host: HostEnvironment;
  keys: GoalKeys;
  stager: Stager;
  /** What the artifact store may take on disk, in bytes, before old artifacts go. */
  storeMaxBytes: number;
  log: Logger;
  onChange: (change: "phase" | "progress") => void;
  /** The application that is this agent itself. Default: none is. */
  self?: { application: string; update: SelfUpdate } | undefined;
}

/** All applications of a host: takes goals in, and sorts out those that it must not obey. */
export class HostApplications {
  readonly #options: HostApplicationsOptions;
  readonly #root: string;
  readonly #applications = new Map<string, Application>();
  readonly #forgotten: Forgotten;
  /** Goals are handled one after the other, so that an application is opened once. */
  #queue: Promise<void> = Promise.resolve();
  readonly #strangers = new Map<string, HostFailure>();
  readonly #refused: Record<GoalFault, number> = { key: 0, signature: 0, content: 0, order: 0 };
  #collecting: Promise<void> = Promise.resolve();
  #sweeping: NodeJS.Timeout | undefined;
  #checking: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: HostApplicationsOptions) {
    this.#options = options;
    this.#root = path.join(options.dataDir, "apps");
    const disowns = (keyId: string): boolean => this.#keyFault(keyId)?.reason === "revoked";
    this.#forgotten = new Forgotten(this.#root, disowns);
  }

  /** Opens every application that an earlier agent had. */
  async start(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o755 });
    for (const name of await this.#forgotten.load(this.#options.log)) await this.#open(name);
    await this.#sweep();
    this.#sweeping = setInterval(() => void this.#sweep(), SWEEP_EVERY_MS);
    this.#sweeping.unref();
    this.#checking = setInterval(() => this.checkKeys(), CHECK_KEYS_EVERY_MS);
    this.#checking.unref();
  }

  /** Goals that were refused, by what did not fit, and applications whose goal is stale now. */
  get stats(): { refused: Readonly<Record<GoalFault, number>>; stale: number } {
    const now = Date.now();
    const stale = [...this.#applications.values()].filter((one) => one.isStale(now)).length;
    return { refused: this.#refused, stale };
  }

  /** The keys that the fleet goes by may be others; that one has ended is seen without this. */
  checkKeys(): void {
    for (const application of this.#applications.values()) application.checkKey();
  }

  /** Whether a goal of this version is news to this host. */
  wants(version: GoalVersion): boolean {
    const order = goalOrder(version);
    // That it is not for this host any more is news to one that has it.
    const here = this.#applications.get(version.application);
    if (here !== undefined) return here.wants(order);
    return (
      takesHost(this.#options.host, version) && !this.#forgotten.isOlder(version.application, order)
    );
  }

  /** Takes a goal as it came. Never rejects. */
  offer(name: string, signed: Buffer): Promise<void> {
    return this.#enqueue(name, () => this.#handle(name, signed));
  }

  #enqueue(application: string, task: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(task).catch((error: unknown) => {
      this.#options.log.error({ err: error, application }, "goal cannot be handled");
    });
    return this.#queue;
  }

  /** One that is here no more is not spoken of. */
  statuses(): HostApplicationStatus[] {
    const known = [...this.#applications.values()].flatMap((application) =>
      application.gone === undefined ? [application.status()] : [],
    );
    const { PENDING } = HostPhase;
    const strangers = [...this.#strangers].map(([application, failure]) =>
      HostApplicationStatus.fromPartial({ application, phase: PENDING, failure }),
    );
    return [...known, ...strangers];
  }

  /** Reads the log of an application that is here, or was; undefined if there is none. */
  async readLog(name: string, position: string, maxBytes: number): Promise<LogRead | undefined> {
    const folder = path.join(this.#root, name, LOG_FOLDER);
    const log =
      this.#applications.get(name)?.logFile ??
      ((await statIfThere(folder)) === undefined ? undefined : new LogFile(folder));
    return log && readLog(log, position, maxBytes);
  }

  async stop(options: { stopReleases: boolean }): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#sweeping);
    clearInterval(this.#checking);
    await this.#queue;
    const stops = [...this.#applications.values()].map((application) =>
      application.stop({ stopRelease: options.stopReleases }),
    );
    await Promise.all(stops);
    await this.#collecting;
  }

  async #handle(name: string, signed: Buffer): Promise<void> {
    if (this.#stopped) return;
    let goal: VerifiedGoal;
    try {
      goal = this.#verify(name, signed);
    } catch (error) {
      if (!(error instanceof GoalRefusedError)) throw error;
      this.#refuse(name, error);
      return;
    }
    const order = goalOrder(goal.goal);
    const application = this.#applications.get(name) ?? (await this.#admit(name, goal));
    if (application === undefined) return;
    this.#strangers.delete(name);
    if (application.offer(goal) === "older") this.#refuseOlder(name, order);
  }

  /** Opens an application that is not here; undefined if the goal has nothing of it here. */
  async #admit(name: string, { goal }: VerifiedGoal): Promise<Application | undefined> {
    const order = goalOrder(goal);
    const taken = takesHost(this.#options.host, goal);
    if (this.#forgotten.isOlder(name, order)) {
      if (taken) this.#refuseOlder(name, order);
      return undefined;
    }
    if (!taken) {
      if (this.#forgotten.has(name)) await this.#forgotten.add(name, order);
      return undefined;
    }
    this.#forgotten.delete(name);
    return this.#open(name);
  }

  /** Drops an application that has nothing left here, unless a goal has brought it back meanwhile. */
  async #drop(name: string): Promise<void> {
    const application = this.#applications.get(name);
    const order = application?.gone;
    if (this.#stopped || application === undefined || order === undefined) return;
    await application.stop({ stopRelease: false });
    this.#applications.delete(name);
    await this.#forgotten.add(name, order);
    this.#options.onChange("phase");
    this.#options.log.info({ application: name }, "application forgotten");
  }

  async #sweep(): Promise<void> {
    try {
      await this.#forgotten.sweep();
    } catch (error) {
      this.#options.log.error({ err: error }, "old logs cannot be removed");
    }
  }

  #refuseOlder(name: string, { generation, issueTimeMs }: GoalOrder): void {
    const issued = new Date(issueTimeMs).toISOString();
    const message = `the goal of generation ${generation}, issued at ${issued}, is older than the one that was obeyed`;
    this.#refuse(name, new GoalRefusedError(message, "order"));
  }

  #refuse(name: string, { message, fault }: GoalRefusedError): void {
    this.#refused[fault] += 1;
    this.#options.log.error({ application: name, fault, reason: message }, "goal refused");
    const { GOAL_KEY_NOT_TRUSTED, GOAL_REFUSED } = HostFailureReason;
    const failure = hostFailure(fault === "key" ? GOAL_KEY_NOT_TRUSTED : GOAL_REFUSED, message);
    const application = this.#applications.get(name);
    if (application !== undefined) {
      application.refuse(failure);
    } else if (this.#strangers.has(name) || this.#strangers.size < MAX_STRANGERS) {
      this.#strangers.set(name, failure);
      this.#options.onChange("phase");
    }
  }

  #verify(application: string, signed: Buffer, { kept = false } = {}): VerifiedGoal {
    const { keys, host } = this.#options;
    return verifyGoal(signed, { application, region: host.region, keys, kept });
  }

  #keyFault(keyId: string): KeyFault | undefined {
    const key = this.#options.keys.find(keyId);
    return key instanceof KeyObject ? undefined : key;
  }

  async #open(name: string): Promise<Application> {
    const { host, stager, onChange, self } = this.#options;
    const log = this.#options.log.child({ application: name });
    const folder = path.join(this.#root, name);
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const logFile = new LogFile(path.join(folder, LOG_FOLDER));
    const folders = new ReleaseFolders(folder);
    const recordFile = path.join(folder, "process.json");
    const application = new Application({
      application: name,
      folder,
      host,
      stager,
      folders,
      supervisor: new Supervisor({
        recordFile,
        releases: folders.root,
        logFile,
        log,
        onExit: () => onChange("phase"),
      }),
      logFile,
      log,
      verifyKept: (signed) => this.#verify(name, signed, { kept: true }),
      keyFault: (keyId) => this.#keyFault(keyId),
      collect: (maxBytes) => this.#collect(maxBytes),
      onChange,
      selfUpdate: self?.application === name ? self.update : undefined,
      onGone: () => void this.#enqueue(name, () => this.#drop(name)),
    });
    this.#applications.set(name, application);
    await application.start();
    return application;
  }

  /** Frees artifacts that no application needs, one pass at a time. */
  #collect(maxBytes = this.#options.storeMaxBytes): Promise<void> {
    const { stager, log } = this.#options;
    const has = (digest: string): boolean =>
      [...this.#applications.values()].some((one) => one.artifactsInUse().includes(digest));
    this.#collecting = this.#collecting.then(async () => {
      try {
        const { removed, freedBytes } = await stager.store.collect({ has }, { maxBytes });
        if (removed.length === 0) return;
        log.info({ removed, freedBytes }, "artifacts removed");
        for (const application of this.#applications.values()) await application.refreshHeld();
      } catch (error) {
        log.error({ err: error }, "artifacts cannot be collected");
      }
    });
    return this.#collecting;
  }
}
