import { Host } from "@slipway/proto";
import { Option } from "commander";
import { CHOOSABLE_PHASES, isChosen, type HostChoice } from "./host-choice.js";
import { messageJson } from "./json.js";
import type { HostPage } from "../fleet.js";
import { ageLines, natsAwayLines } from "./render/hearing.js";
import { hostTable } from "./render/fleet.js";
import { parseLimit, type AddCommand } from "./run.js";
import { lookOf, note, print, type Session } from "./session.js";
import { plain } from "./text.js";

interface Options extends HostChoice {
  region?: string;
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
    .addOption(
      new Option("--phase <phase>", "only those in this phase, or not heard of for 30 s").choices(
        CHOOSABLE_PHASES,
      ),
    )
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 100)
    .addHelpText(
      "after",
      "\nExamples:\n  slipway hosts --region eu --app web --limit all\n  slipway hosts --app web --phase failed",
    )
    .action(
      run(async (session, options: Options) => {
        const read = await readHosts(session, options);
        const { items, unreachableRegions, unheardSince, natsAwaySince } = read;
        const hosts = (): unknown => items.map((host) => messageJson(Host, host));
        const look = lookOf(session);
        await print(
          session,
          () => ({
            hosts: hosts(),
            unreachableRegions,
            unheardSince,
            ...(Object.keys(natsAwaySince).length > 0 && { natsAwaySince }),
          }),
          () =>
            ageLines({ unheardSince }, look) +
            natsAwayLines(natsAwaySince, look) +
            hostTable(items, options, look),
        );
        // Else it is not they who do not answer.
        if (unreachableRegions.length > 0 && unheardSince === undefined) {
          const names = unreachableRegions.map(plain).join(", ");
          await note(session, `No agent answered in time in: ${names}. Its hosts show no status.`);
        }
      }),
    );
};

async function readHosts(
  session: Session,
  options: Options,
): Promise<Omit<HostPage, "nextPageToken">> {
  const { region, app, phase, limit } = options;
  const items: Host[] = [];
  let more = false;
  const unreachable = new Set<string>();
  let unheardSince: Date | undefined;
  let natsAwaySince: HostPage["natsAwaySince"] = {};
  let pageToken = "";
  do {
    const page = await session.client.fleet.hostsPage(
      {
        ...(region === undefined ? {} : { region }),
        ...(app === undefined ? {} : { application: app }),
        pageSize: phase === undefined ? Math.min(PAGE_SIZE, limit - items.length) : PAGE_SIZE,
        pageToken,
      },
      { signal: session.signal },
    );
    const chosen = page.items.filter((host) => isChosen(host, options));
    more = chosen.length > limit - items.length;
    items.push(...chosen.slice(0, limit - items.length));
    for (const name of page.unreachableRegions) unreachable.add(name);
    unheardSince ??= page.unheardSince;
    natsAwaySince = { ...natsAwaySince, ...page.natsAwaySince };
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && items.length < limit);
  if (more || pageToken !== "") {
    await note(session, `There are more than these ${items.length}: see them with --limit all`);
  }
  return { items, unreachableRegions: [...unreachable], unheardSince, natsAwaySince };
}
