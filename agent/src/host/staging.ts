import { HostPhase } from "@slipway/proto";
import type { Priority } from "../swarm/index.js";
import { localTransfer, transferSoFar, type ProgressReport } from "./application-report.js";
import type { ReleaseRecord, TransferRecord } from "./application-state.js";
import { HeldArtifacts } from "./held-artifacts.js";
import type { KeptState } from "./kept-state.js";
import { stage, type StageOptions } from "./stage.js";
import type { ReleaseFailure } from "./wait-healthy.js";

/** What for a release is brought here. */
export interface Course {
  /** Of the goal. */
  generation: number;
  priority: Priority;
  /** Where its steps are told; nowhere for a release that only runs until the goal's may. */
  report?: ProgressReport;
}

interface StagingOptions extends StageOptions {
  state: KeptState;
  onProgress: () => void;
}

/** Gets an application's releases onto the host, and knows which of their artifacts are there. */
export class Staging {
  readonly held: HeldArtifacts;
  readonly #options: StagingOptions;

  constructor(options: StagingOptions) {
    this.#options = options;
    this.held = new HeldArtifacts(options.stager.store, options.state);
  }

  /**
   * Has the release's folder made, from bytes that were here or come now. The result says what
   * will never go well.
   * @throws StageError and system errors, after which it may; the signal's reason.
   */
  async stage(
    record: ReleaseRecord,
    course: Course,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    const { folders, state, collect } = this.#options;
    const { report, generation } = course;
    if (!(await folders.has(record.folder))) {
      // What went wrong the last time is shown until bytes flow again.
      if (report?.failing === false) report.step(HostPhase.STAGING);
      const failure = await this.#make(record, course, signal);
      if (failure !== undefined) return failure;
      await collect();
    }
    await this.held.add(record.release.artifactDigest);
    if (report !== undefined) {
      const before = this.#transfer(record, generation).stageDurationMs;
      this.#note(record, generation, { stageDurationMs: before || report.elapsedMs });
    }
    await state.save();
    signal.throwIfAborted();
    return undefined;
  }

  async #make(
    record: ReleaseRecord,
    { generation, priority, report }: Course,
    signal: AbortSignal,
  ): Promise<ReleaseFailure | undefined> {
    let fetched = false;
    return stage(this.#options, record, { priority, signal }, (progress) => {
      if (report === undefined) return;
      if (!fetched) report.step(HostPhase.STAGING);
      fetched = true;
      this.#note(record, generation, transferSoFar(progress));
      this.#options.onProgress();
    });
  }

  #transfer({ release }: ReleaseRecord, generation: number): TransferRecord {
    const { transfer } = this.#options.state.value;
    return transfer ?? localTransfer(generation, release.artifactSizeBytes);
  }

  #note(record: ReleaseRecord, generation: number, change: Partial<TransferRecord>): void {
    const transfer = { ...this.#transfer(record, generation), ...change };
    this.#options.state.note({ transfer });
  }
}
