import { NAME_PATTERN } from "@slipway/proto";
import { DEFAULT_CELL } from "../config.js";
import type { Logger } from "../log.js";
import type { HostTable } from "./host-table.js";

const LOOK_MS = 5_000;
/** Hosts of one cell: beyond it, finding each other costs more than it should. */
const HOSTS_MAX = 2_000;
/** Cells that a region agent seeds. */
const CELLS_MAX = 128;

interface CellWatchOptions {
  table: HostTable;
  joinCell: (cell: string) => void;
  log: Logger;
}

/** Joins the cells that the region's hosts say they are of, and warns of those that are too large. */
export class CellWatch {
  readonly #options: CellWatchOptions;
  readonly #joined = new Set<string>([DEFAULT_CELL]);
  readonly #tooLarge = new Set<string>();
  #tooMany = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CellWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.runOnce(), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  runOnce(): void {
    for (const [cell, hosts] of this.#options.table.cells) {
      this.#join(cell);
      this.#measure(cell, hosts);
    }
  }

  #join(cell: string): void {
    const { joinCell, log } = this.#options;
    if (this.#joined.has(cell) || !NAME_PATTERN.test(cell)) return;
    if (this.#joined.size >= CELLS_MAX) {
      if (!this.#tooMany) log.error({ cell, max: CELLS_MAX }, "too many cells: not all are seeded");
      this.#tooMany = true;
      return;
    }
    this.#joined.add(cell);
    joinCell(cell);
    log.info({ cell }, "seeding a further cell");
  }

  #measure(cell: string, hosts: number): void {
    if (hosts <= HOSTS_MAX) this.#tooLarge.delete(cell);
    else if (!this.#tooLarge.has(cell)) {
      this.#tooLarge.add(cell);
      this.#options.log.warn(
        { cell, hosts, max: HOSTS_MAX },
        "a cell has more hosts than it should: give some of them another --cell",
      );
    }
  }
}
