import { duration } from "./render.js";

const REDRAW_MS = 80;
const PLAIN_MS = 1_000;

export interface Output {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** Something under way, shown live on a terminal and as now and then a line elsewhere. */
interface Activity {
  /** Replaces what is shown of it. */
  update(...lines: string[]): void;
  /** Ends it with one line, and the time that it took. */
  done(line: string): void;
  /** Ends it as failed, leaving what is shown. */
  failed(): void;
}

/** What the demo prints. */
export interface Display {
  heading(text: string): void;
  line(text?: string): void;
  activity(label: string): Activity;
}

/** Shows on a terminal with cursor movement and colour, elsewhere as plain lines. */
export function createDisplay(output: Output, color: boolean, now = Date.now): Display {
  const paint = (code: number, text: string): string =>
    color ? `\u001B[${code}m${text}\u001B[0m` : text;
  const print = (text: string): void => void output.write(`${text}\n`);
  return {
    heading: (text) => print(`\n${paint(1, text)}`),
    line: (text = "") => print(text === "" ? "" : `  ${text}`),
    activity: (label) => {
      const started = now();
      const name = label.padEnd(11);
      const took = (): string => paint(2, duration(now() - started));
      const live = output.isTTY === true ? liveLines(output, now) : plainLines(output, now);
      live.draw([`  ${paint(36, "…")} ${name}`]);
      return {
        update: (first = "", ...rest) => {
          const below = rest.map((line) => `    ${" ".repeat(11)}${line}`);
          live.draw([`  ${paint(36, "…")} ${name}${first}`, ...below]);
        },
        done: (line) => live.end(`  ${paint(32, "✓")} ${name}${line}  ${took()}`),
        failed: () => live.end(`  ${paint(31, "✗")} ${name}`),
      };
    },
  };
}

interface Lines {
  draw(lines: string[]): void;
  end(line: string): void;
}

function liveLines(output: Output, now: () => number): Lines {
  let drawn = 0;
  let last = 0;
  const clear = (): string => (drawn === 0 ? "" : `\u001B[${drawn}A\u001B[0J`);
  return {
    draw(lines) {
      if (drawn > 0 && now() - last < REDRAW_MS) return;
      last = now();
      // Lines that wrap would be miscounted; colours are before what may be cut.
      const width = (output.columns ?? 80) + 8;
      output.write(`${clear()}${lines.map((line) => `${line.slice(0, width)}\n`).join("")}`);
      drawn = lines.length;
    },
    end(line) {
      output.write(`${clear()}${line}\n`);
      drawn = 0;
    },
  };
}

function plainLines(output: Output, now: () => number): Lines {
  let last = now();
  let said = "";
  return {
    draw(lines) {
      const text = lines.map((line) => line.trimEnd()).join("\n");
      if (text === said || now() - last < PLAIN_MS) return;
      last = now();
      said = text;
      output.write(`${text}\n`);
    },
    end: (line) => void output.write(`${line}\n`),
  };
}
