import type { ArtifactStore } from "../store/types.js";
import type { KeptState } from "./kept-state.js";

/** So many of an application's artifacts are remembered, and told of. */
const MAX_HELD = 16;

/** Which of an application's artifacts are whole in the store: going to them moves no bytes. */
export class HeldArtifacts {
  readonly #store: Pick<ArtifactStore, "path">;
  readonly #state: KeptState;
  #whole: ReadonlySet<string> = new Set();

  constructor(store: Pick<ArtifactStore, "path">, state: KeptState) {
    this.#store = store;
    this.#state = state;
  }

  /** What is active, what was before it, then the last staged first; as of the last look. */
  get digests(): string[] {
    return this.#known()
      .filter((digest) => this.#whole.has(digest))
      .slice(0, MAX_HELD);
  }

  /** An artifact was staged. */
  async add(digest: string): Promise<void> {
    const others = (this.#state.value.artifacts ?? []).filter((other) => other !== digest);
    this.#state.note({ artifacts: [digest, ...others].slice(0, MAX_HELD) });
    await this.refresh();
  }

  /** Looks again: the store may have dropped some. */
  async refresh(): Promise<void> {
    const whole = new Set<string>();
    for (const digest of this.#known()) {
      if ((await this.#store.path(digest)) !== undefined) whole.add(digest);
    }
    this.#whole = whole;
  }

  #known(): string[] {
    const { active, previous, artifacts = [] } = this.#state.value;
    const kept = [active, previous].flatMap((record) => record?.release.artifactDigest ?? []);
    return [...new Set([...kept, ...artifacts])];
  }
}
