// The parts of graphile-worker 0.17 and pg-boss 10 that are measured: they are needed only to run.

declare module "graphile-worker" {
  import type { Pool } from "pg";

  type LogFunction = (level: string, message: string) => void;

  /** Opaque. */
  export interface Logger {
    debug: LogFunction;
  }

  export const Logger: new (factory: () => LogFunction) => Logger;

  export interface WorkerSettings {
    logger: Logger;
    concurrentJobs?: number;
    localQueue?: { size: number };
    completeJobBatchDelay?: number;
  }

  export interface Runner {
    stop(): Promise<void>;
  }

  export function run(options: {
    pgPool: Pool;
    preset: { worker: WorkerSettings };
    taskList: Record<string, (payload: unknown) => void>;
    noHandleSignals: boolean;
  }): Promise<Runner>;

  export function makeWorkerUtils(options: {
    pgPool: Pool;
    preset: { worker: WorkerSettings };
  }): Promise<{
    migrate(): Promise<void>;
    addJob(identifier: string, payload: object): Promise<unknown>;
    addJobs(jobs: { identifier: string; payload: object }[]): Promise<unknown>;
    release(): Promise<void>;
  }>;
}

declare module "pg-boss" {
  export interface Job {
    id: string;
    data: unknown;
  }

  export default class PgBoss {
    constructor(options: { connectionString: string; max: number; schedule: boolean });
    on(event: "error", listener: (error: Error) => void): this;
    start(): Promise<unknown>;
    stop(options: { graceful: boolean; wait: boolean; timeout: number }): Promise<void>;
    createQueue(name: string): Promise<void>;
    insert(jobs: { name: string; data: object }[]): Promise<unknown>;
    fetch(name: string, options: { batchSize: number; priority: boolean }): Promise<Job[]>;
    complete(name: string, ids: string[]): Promise<unknown>;
    work(
      name: string,
      options: { pollingIntervalSeconds: number; batchSize: number },
      handler: (jobs: Job[]) => Promise<void>,
    ): Promise<string>;
    offWork(name: string): Promise<void>;
  }
}
