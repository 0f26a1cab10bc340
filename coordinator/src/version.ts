import { readFileSync } from "node:fs";

/** The coordinator's version, as its package says. */
export const COORDINATOR_VERSION: string = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  }
).version;
