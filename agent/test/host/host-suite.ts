import { freePort } from "@slipway/examples/servers";
import { suite, type uvu } from "uvu";
import { temporaryFolder, TestHost } from "./fixtures.js";

/** What each test of a suite gets. */
export interface HostContext {
  folder: string;
  remove: () => Promise<void>;
  /** Where its service listens. */
  port: number;
  /** Started. */
  host: TestHost;
  /** Those that are stopped at the end, of the same folder. */
  hosts: TestHost[];
}

/** A suite each of whose tests has a folder and a host of its own; `more` is added to its context. */
export function hostSuite<More extends object = object>(
  name: string,
  options: ConstructorParameters<typeof TestHost>[2] = {},
  more?: (folder: string) => More,
): uvu.Test<HostContext & More> {
  const test = suite<HostContext & More>(name);
  test.before.each(async (context) => {
    const { folder, remove } = await temporaryFolder();
    const port = await freePort();
    const host = new TestHost(folder, port, options);
    Object.assign(context, { folder, remove, port, host, hosts: [host], ...more?.(folder) });
    await host.applications.start();
  });
  test.after.each(async ({ hosts, remove }) => {
    for (const host of hosts) await host.applications.stop({ stopReleases: true });
    await remove();
  });
  return test;
}
