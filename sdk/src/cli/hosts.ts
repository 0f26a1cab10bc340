import { Host } from "@slipway/proto";
import { messageJson } from "./json.js";
import { hostTable } from "./render/fleet.js";
import { parseLimit, type AddCommand } from "./run.js";
import { lookOf, note, print, type Session } from "./session.js";
import { plain } from "./text.js";

interface Options {
  region?: string;
  app?: string;
  limit: number;
}

/** Hosts on one page: the most that a coordinator gives. */
const PAGE_SIZE = 1_000;

export const addHosts: AddCommand = (group, run) => {
  group
    .command("hosts")
    .summary("list hosts and what runs on each")
    .option("--region <region>", "only of this region")
    .option("--app <app>", "only those that run this application, or should")
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 100)
    .addHelpText("after", "\nExample:\n  slipway hosts --region eu --app web --limit all")
    .action(
      run(async (session, options: Options) => {
        const { hosts, unreachableRegions } = await readHosts(session, options);
        await print(
          session,
          () => ({ hosts: hosts.map((host) => messageJson(Host, host)), unreachableRegions }),
          () => hostTable(hosts, options.app, lookOf(session)),
        );
        if (unreachableRegions.length > 0) {
          const names = unreachableRegions.map(plain).join(", ");
          await note(session, `No agent answered in time in: ${names}. Its hosts show no status.`);
        }
      }),
    );
};

async function readHosts(
  session: Session,
  { region, app, limit }: Options,
): Promise<{ hosts: Host[]; unreachableRegions: string[] }> {
  const hosts: Host[] = [];
  const unreachable = new Set<string>();
  let pageToken = "";
  do {
    const page = await session.client.fleet.hostsPage(
      {
        ...(region === undefined ? {} : { region }),
        ...(app === undefined ? {} : { application: app }),
        pageSize: Math.min(PAGE_SIZE, limit - hosts.length),
        pageToken,
      },
      { signal: session.signal },
    );
    hosts.push(...page.items);
    for (const name of page.unreachableRegions) unreachable.add(name);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && hosts.length < limit);
  if (pageToken !== "") {
    await note(session, `There are more than these ${hosts.length}: see them with --limit all`);
  }
  return { hosts, unreachableRegions: [...unreachable] };
}
