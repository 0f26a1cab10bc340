/** As much of commander's Command as says what its options were given. */
export interface Given {
  readonly options: readonly {
    readonly flags: string;
    readonly long?: string | null | undefined;
    attributeName(): string;
  }[];
  opts(): Record<string, unknown>;
  readonly parent?: Given | null;
}

const PATH = "[\\w.~/@%+-]";

/**
 * The message of an error that is about files, with the options before it that named them: whoever reads
 * a file knows what is wrong with it, and not who named it. Left as it is if it names them itself.
 */
export function withOptions(message: string, command: Given | undefined): string {
  if (command === undefined || message.startsWith("--")) return message;
  const byFile = new Map<string, string[]>();
  for (const [option, file] of filesOf(command)) {
    if (!isAbout(message, file) || message.includes(`${option} `)) continue;
    byFile.set(file, [...(byFile.get(file) ?? []), option]);
  }
  if (byFile.size === 0) return message;
  const named = [...byFile.values()].map((options) => options.join(" or "));
  return `${named.join(", ")}: ${message}`;
}

/** Options whose value is called a file, or files, and what they were given; its parents' as well. */
function filesOf(command: Given): [option: string, file: string][] {
  const values = command.opts();
  const own = command.options.flatMap((option) => {
    if (!/<files?[>[]/.test(option.flags)) return [];
    const value = values[option.attributeName()];
    const given: unknown[] = Array.isArray(value) ? value : [value];
    return given.flatMap((one): [string, string][] => {
      const file = isNamed(one) ? one.file : one;
      return typeof file === "string" && file !== "" ? [[option.long ?? option.flags, file]] : [];
    });
  });
  return command.parent ? [...own, ...filesOf(command.parent)] : own;
}

const isNamed = (value: unknown): value is { file: unknown } =>
  typeof value === "object" && value !== null && "file" in value;

/** Whether it speaks of just that file, and not of one whose name begins or ends so. */
function isAbout(message: string, file: string): boolean {
  const literal = file.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
  return new RegExp(`(?<!${PATH})${literal}(?!${PATH}*[\\w/~@%+-])`).test(message);
}
