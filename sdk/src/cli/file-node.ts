import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Node,
  type Pair,
} from "yaml";
import { parseDuration } from "./duration-text.js";

/** Something wrong with a file. */
interface FileProblem {
  /** From 1. */
  line: number;
  /** Dots between keys, indexes in brackets; empty for the file as a whole. */
  path: string;
  message: string;
}

/** A file's content, and what was found wrong with it so far. */
export interface FileDocument {
  root: FileNode;
  problems: readonly FileProblem[];
  /** The line of what the path names, or of the nearest that holds it. */
  lineAt: (path: string) => number | undefined;
}

/**
 * A place in a file. Its readers never throw: they note what is wrong and answer with an empty value,
 * so that one reading finds every problem.
 */
export interface FileNode {
  problem(message: string): void;
  string(): string;
  boolean(): boolean;
  /** From 0, or from `least`, where 0 would be sent like nothing. */
  wholeNumber(least?: number): number;
  durationMs(): number;
  strings(): string[];
  /** The places in a list; `wanted` says in a complaint what it should be. */
  items(wanted: string): FileNode[];
  /** The same, where an empty list would be sent like none. */
  someItems(wanted: string): FileNode[];
  /** The keys and places in a map, whatever its keys are. */
  entries(wanted: string): [key: string, node: FileNode][];
  /** Values are taken as they are written, so that 1.10 stays "1.10". */
  stringMap(): Record<string, string>;
  oneOf<T>(choices: Readonly<Record<string, T>>): T | undefined;
  /** A map that has no other keys than these. */
  fields(keys: readonly string[]): Fields;
}

/** The keys of a map. */
interface Fields {
  /** Says so if it is missing. */
  required(key: string): FileNode;
  optional<T>(key: string, read: (node: FileNode) => T): T | undefined;
}

/** Parses YAML (or JSON, which is a part of it). */
export function readDocument(text: string): FileDocument {
  const counter = new LineCounter();
  const problems: FileProblem[] = [];
  const lines = new Map<string, number>();
  const lineOf = (offset: number): number => Math.max(1, counter.linePos(offset).line);
  const document = parseDocument(text, { lineCounter: counter, merge: false, logLevel: "error" });
  for (const { code, pos, message } of [...document.errors, ...document.warnings]) {
    const said = message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? message;
    const several = code === "MULTIPLE_DOCS" ? "must hold one document, not several" : said;
    problems.push({ line: lineOf(pos[0]), path: "", message: several });
  }
  // What follows would only repeat a broken file's problems in other words.
  const broken = problems.length > 0;

  const nodeAt = (node: Node | null | undefined, path: string, line: number): FileNode => {
    lines.set(path, line);
    const problem = (message: string): void => {
      if (!broken) problems.push({ line, path, message });
    };
    const wrong = (wanted: string): void =>
      // A whole file that is but text may be a key or a token that was named by mistake.
      problem(
        `must be ${wanted}, not ${path === "" && isScalar(node) && node.value !== null ? "one value" : describe(node)}`,
      );
    const value = isScalar(node) ? node.value : undefined;
    const found = (wanted: string): { key: string; node: Node | null; line: number }[] => {
      if (!isMap(node)) {
        wrong(wanted);
        return [];
      }
      return (node.items as Pair<Node, Node | null>[]).map(({ key, value: child }) => ({
        key: isScalar(key) ? String(key.value) : "",
        node: child,
        line: lineOf(key.range?.[0] ?? 0),
      }));
    };
    const below = (key: string): string => (path === "" ? key : `${path}.${key}`);
    const items = (wanted: string): FileNode[] => {
      if (!isSeq(node)) {
        wrong(wanted);
        return [];
      }
      return (node.items as (Node | null)[]).map((item, index) =>
        nodeAt(item, `${path}[${index}]`, lineOf(item?.range?.[0] ?? 0)),
      );
    };

    return {
      problem,
      string: () => {
        if (typeof value === "string") return value;
        wrong("a string");
        return "";
      },
      boolean: () => {
        if (typeof value === "boolean") return value;
        wrong("true or false");
        return false;
      },
      wholeNumber: (least = 0) => {
        if (typeof value === "number" && Number.isInteger(value) && value >= least) {
          if (value < 2 ** 32) return value;
        }
        wrong(least === 0 ? "a whole number" : `a whole number from ${least}`);
        return 0;
      },
      durationMs: () => {
        const ms = typeof value === "string" ? parseDuration(value) : undefined;
        if (ms === undefined) wrong('a duration such as "500ms", "30s", "15m" or "1h30m"');
        return ms ?? 0;
      },
      strings: () =>
        items('a list of strings, such as ["make", "all"]').map((item) => item.string()),
      items,
      someItems: (wanted) => {
        const places = items(wanted);
        if (isSeq(node) && places.length === 0) problem("must not be empty");
        return places;
      },
      entries: (wanted) =>
        found(wanted).map(({ key, node: child, line: at }) => [key, nodeAt(child, below(key), at)]),
      stringMap: () => {
        const pairs = found("a map of strings").map(({ key, node: child, line: at }) => {
          const written = isScalar(child) && child.value !== null ? writtenText(child) : undefined;
          if (written === undefined) nodeAt(child, below(key), at).string();
          else lines.set(below(key), at);
          return [key, written ?? ""] as const;
        });
        return Object.fromEntries(pairs);
      },
      oneOf: (choices) => {
        const choice = typeof value === "string" ? value : "";
        if (Object.hasOwn(choices, choice)) return choices[choice];
        wrong(Object.keys(choices).join(" or "));
        return undefined;
      },
      fields: (keys) => {
        const pairs = found(`a map with the keys ${keys.join(", ")}`);
        for (const { key, node: child, line: at } of pairs) {
          if (keys.includes(key)) continue;
          const known = `is not known; known here: ${keys.join(", ")}`;
          nodeAt(child, below(key), at).problem(known);
        }
        const find = (name: string): FileNode | undefined => {
          const entry = pairs.find(({ key }) => key === name);
          return entry && nodeAt(entry.node, below(name), entry.line);
        };
        return {
          required: (key) => {
            const child = find(key);
            if (child !== undefined) return child;
            if (isMap(node)) nodeAt(undefined, below(key), line).problem("is missing");
            return SILENT;
          },
          optional: (key, read) => {
            const child = find(key);
            return child && read(child);
          },
        };
      },
    };
  };

  const root = nodeAt(document.contents, "", 1);
  return {
    root,
    problems,
    lineAt: (path) => {
      for (let at = path; at !== ""; at = at.replace(/(\.|^)[^.[]*$|\[[^[]*$/, "")) {
        const line = lines.get(at);
        if (line !== undefined) return line;
      }
      return undefined;
    },
  };
}

/** Stands for what is missing, which was said already. */
const SILENT: FileNode = {
  problem: () => undefined,
  string: () => "",
  boolean: () => false,
  wholeNumber: () => 0,
  durationMs: () => 0,
  strings: () => [],
  items: () => [],
  someItems: () => [],
  entries: () => [],
  stringMap: () => ({}),
  oneOf: () => undefined,
  fields: () => ({ required: () => SILENT, optional: () => undefined }),
};

function writtenText(node: { value: unknown; source?: string }): string {
  return typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
}

function describe(node: Node | null | undefined): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (isAlias(node)) return "an alias";
  if (!isScalar(node) || node.value === null) return "nothing";
  if (typeof node.value === "string") return `"${node.value.slice(0, 60)}"`;
  return `the ${typeof node.value} ${writtenText(node).slice(0, 60)}`;
}
