import type { Output } from "./session.js";

/** Some lines at the end of a terminal that are drawn again in place. */
export class LiveBlock {
  readonly #output: Output;
  #lines = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Lines that the terminal has room for now. */
  rows(): number {
    return Math.max(1, this.#output.rows() - 1);
  }

  /** Draws these lines in place of the ones before; no more than the terminal has room for. */
  async draw(lines: readonly string[]): Promise<void> {
    const shown = lines.slice(0, this.rows());
    const back = this.#lines === 0 ? "" : `\u001b[${this.#lines}A`;
    this.#lines = shown.length;
    await this.#output.write(`${back}\r\u001b[J${shown.map((line) => `${line}\n`).join("")}`);
  }
}
