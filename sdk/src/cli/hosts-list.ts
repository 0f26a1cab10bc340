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

/** What `slipway hosts` does on its own as well. */
export const addHostsList: AddCommand = (group, run) => {
  group
    .command("list", { isDefault: true })
    .summary("list hosts and what runs on each (the default)")
    .option("--region <region>", "only of this region")
    .option("--app <app>", "only those that run this application, or should")
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 100)
    .addHelpText("after", "\nExample:\n  slipway hosts --region eu --app web --limit all")
    .action(
      run(async (session, options: Options) => {
        const { items, unreachableRegions } = await readHosts(session, options);
        await print(
          session,
          () => ({ hosts: items.map((host) => messageJson(Host, host)), unreachableRegions }),
          () => hostTable(items, options.app, lookOf(session)),
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
): Promise<{ items: Host[]; unreachableRegions: string[] }> {
  const items: Host[] = [];
  const unreachable = new Set<string>();
  let pageToken = "";
  do {
    const page = await session.client.fleet.hostsPage(
      {
        ...(region === undefined ? {} : { region }),
        ...(app === undefined ? {} : { application: app }),
        pageSize: Math.min(PAGE_SIZE, limit - items.length),
        pageToken,
      },
      { signal: session.signal },
    );
    items.push(...page.items);
    for (const name of page.unreachableRegions) unreachable.add(name);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && items.length < limit);
  if (pageToken !== "") {
    await note(session, `There are more than these ${items.length}: see them with --limit all`);
  }
  return { items, unreachableRegions: [...unreachable] };
}
