/** Longest value that an expansion may come to, in bytes: Linux' own bound for one argument. */
const MAX_LENGTH = 128 * 1024;
const REFERENCE = /\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

class ExpansionError extends Error {
  override readonly name = "ExpansionError";
}

/**
 * Replaces ${NAME} by the environment's value and $$ by a dollar sign. Anything else that has a
 * dollar sign stays as it is, so that a shell's own $NAME reaches the shell.
 * @throws ExpansionError for a name that the environment does not have.
 */
export function expand(text: string, environment: Readonly<Record<string, string>>): string {
  return replace(text, (name) =>
    Object.hasOwn(environment, name) ? environment[name] : undefined,
  );
}

/**
 * The environment of a release: the base, then the run spec's variables, whose values may refer to
 * the base, to each other, and to the base's variable of the same name ("${PATH}:/opt/bin").
 * @throws ExpansionError for unknown names and for variables that refer to each other in a circle.
 */
export function resolveEnvironment(
  base: Readonly<Record<string, string>>,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  const resolved = new Map<string, string>();
  const resolve = (name: string, open: readonly string[]): string | undefined => {
    const known = resolved.get(name);
    if (known !== undefined) return known;
    const own = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (own === undefined) return Object.hasOwn(base, name) ? base[name] : undefined;
    if (open.includes(name)) {
      throw new ExpansionError(`${[...open, name].join(" refers to ")}: a circle`);
    }
    const value = replace(own, (other) =>
      other === name
        ? Object.hasOwn(base, name)
          ? base[name]
          : undefined
        : resolve(other, [...open, name]),
    );
    resolved.set(name, value);
    return value;
  };
  const environment: Record<string, string> = { ...base };
  for (const name of Object.keys(variables)) environment[name] = resolve(name, []) ?? "";
  return environment;
}

function replace(text: string, lookUp: (name: string) => string | undefined): string {
  const result = text.replace(REFERENCE, (_match, name: string | undefined) => {
    if (name === undefined) return "$";
    const value = lookUp(name);
    if (value === undefined) throw new ExpansionError(`\${${name}} is not in the environment`);
    return value;
  });
  if (result.length > MAX_LENGTH)
    throw new ExpansionError(`a value is longer than ${MAX_LENGTH} bytes`);
  return result;
}
