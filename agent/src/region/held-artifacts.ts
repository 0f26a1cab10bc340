import { ARTIFACT_DIGEST_PATTERN } from "@slipway/proto";
import { writeAtomically } from "../atomic-file.js";
import { readIfThere } from "../store/files.js";

/**
 * The artifacts that were seen in the regional blob store, over restarts of the agent, so that a
 * loss is noticed whenever it happens.
 */
export class HeldArtifacts {
  readonly #file: string;
  readonly #digests = new Set<string>();
  #saved = "";
  #saving: Promise<void> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads what an earlier agent saw. A file that cannot be understood counts as none. */
  async load(): Promise<void> {
    const saved = await readIfThere(this.#file);
    if (saved === undefined) return;
    this.#saved = saved.toString();
    for (const line of this.#saved.split("\n")) {
      if (ARTIFACT_DIGEST_PATTERN.test(line)) this.#digests.add(line);
    }
  }

  add(digest: string): void {
    this.#digests.add(digest);
  }

  delete(digest: string): void {
    this.#digests.delete(digest);
  }

  /** All of them, as they are now. */
  list(): string[] {
    return [...this.#digests];
  }

  /** Writes them down, if they have changed; one write after the other. */
  save(): Promise<void> {
    const saving = this.#saving.then(() => this.#save());
    this.#saving = saving.catch(() => {
      // The caller has it; the next save tries again.
    });
    return saving;
  }

  async #save(): Promise<void> {
    const content = [...this.#digests].sort().join("\n");
    if (content === this.#saved) return;
    await writeAtomically(this.#file, content);
    this.#saved = content;
  }
}
