import path from "node:path";

const LEFT_OUT =
  /^(SLIPWAY_|npm_|NODE_OPTIONS$|NODE_ENV$|INIT_CWD$|GIT_(DIR|WORK_TREE|INDEX_FILE)$)/;

/**
 * The environment of the fleet's processes: the caller's, without what would change their options,
 * and with this Node first on the PATH, since build and run commands say `node`.
 */
export function processEnvironment(env: NodeJS.ProcessEnv, execPath: string): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !LEFT_OUT.test(name));
  const folders = [path.dirname(execPath), ...(env["PATH"] ?? "").split(path.delimiter)];
  const usable = folders.filter((folder) => folder !== "");
  return { ...Object.fromEntries(kept), PATH: [...new Set(usable)].join(path.delimiter) };
}
