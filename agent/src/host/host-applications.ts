import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import {
  HostApplicationStatus,
  HostFailureReason,
  HostPhase,
  NAME_PATTERN,
  type GoalVersion,
} from "@slipway/proto";
import type { Logger } from "../log.js";
import { Application } from "./application.js";
import { hostFailure } from "./application-report.js";
import { selectorTakes } from "./choose.js";
import { goalOrder } from "./goal-order.js";
import { LogFile } from "./log-file.js";
import type { HostEnvironment } from "./release-environment.js";
import { ReleaseFolders } from "./release-folders.js";
import type { Stager } from "./stage.js";
import { Supervisor } from "./supervisor.js";
import { GoalRefusedError, verifyGoal, type GoalKeys, type VerifiedGoal } from "./verify-goal.js";

/** Refused goals of applications that this host does not have, that are reported at a time. */
const MAX_STRANGERS = 100;

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
}

/** All applications of a host: takes goals in, and sorts out those that it must not obey. */
export class HostApplications {
  readonly #options: HostApplicationsOptions;
  readonly #root: string;
  readonly #applications = new Map<string, Application>();
  /** Goals are handled one after the other, so that an application is opened once. */
  #queue: Promise<void> = Promise.resolve();
  readonly #strangers = new Map<string, string>();
  #collecting: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: HostApplicationsOptions) {
    this.#options = options;
    this.#root = path.join(options.dataDir, "apps");
  }

  /** Opens every application that an earlier agent had. */
  async start(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o755 });
    for (const name of await readdir(this.#root)) {
      if (NAME_PATTERN.test(name)) await this.#open(name);
    }
  }

  /** Whether a goal of this version is news to this host. */
  wants(version: GoalVersion): boolean {
    if (!selectorTakes(version.selector, this.#options.host.labels)) return false;
    return this.#applications.get(version.application)?.wants(goalOrder(version)) ?? true;
  }

  /** Takes a goal as it came. Never rejects. */
  offer(name: string, signed: Buffer): Promise<void> {
    this.#queue = this.#queue
      .then(() => this.#handle(name, signed))
      .catch((error: unknown) => {
        this.#options.log.error({ err: error, application: name }, "goal cannot be handled");
      });
    return this.#queue;
  }

  statuses(): HostApplicationStatus[] {
    const known = [...this.#applications.values()].map((application) => application.status());
    const strangers = [...this.#strangers].map(([application, message]) =>
      HostApplicationStatus.fromPartial({
        application,
        phase: HostPhase.PENDING,
        failure: hostFailure(HostFailureReason.GOAL_REFUSED, message),
      }),
    );
    return [...known, ...strangers];
  }

  async stop(options: { stopReleases: boolean }): Promise<void> {
    this.#stopped = true;
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
      this.#refuse(name, error.message);
      return;
    }
    if (!selectorTakes(goal.goal.selector, this.#options.host.labels)) return;
    const application = this.#applications.get(name) ?? (await this.#open(name));
    this.#strangers.delete(name);
    if (application.offer(goal) !== "older") return;
    const { generation, issueTime } = goal.goal;
    this.#refuse(
      name,
      `the goal of generation ${generation}, issued at ${issueTime?.toISOString()}, is older than the one that was obeyed`,
    );
  }

  #refuse(name: string, message: string): void {
    this.#options.log.error({ application: name, reason: message }, "goal refused");
    const application = this.#applications.get(name);
    if (application !== undefined) {
      application.refuse(message);
    } else if (this.#strangers.has(name) || this.#strangers.size < MAX_STRANGERS) {
      this.#strangers.set(name, message);
      this.#options.onChange("phase");
    }
  }

  #verify(application: string, signed: Buffer): VerifiedGoal {
    const { keys, host } = this.#options;
    return verifyGoal(signed, { application, region: host.region, keys });
  }

  async #open(name: string): Promise<Application> {
    const { host, stager, onChange } = this.#options;
    const log = this.#options.log.child({ application: name });
    const folder = path.join(this.#root, name);
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const logFile = new LogFile(path.join(folder, "logs"));
    const folders = new ReleaseFolders(folder);
    const recordFile = path.join(folder, "process.json");
    const application = new Application({
      application: name,
      folder,
      host,
      stager,
      folders,
      supervisor: new Supervisor({ recordFile, releases: folders.root, logFile, log }),
      logFile,
      log,
      verify: (signed) => this.#verify(name, signed),
      collect: (maxBytes) => this.#collect(maxBytes),
      onChange,
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
