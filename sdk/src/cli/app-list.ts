import { Application } from "@slipway/proto";
import { messageJson } from "./json.js";
import { agoText } from "./quantities.js";
import { table } from "./render/table.js";
import { parseLimit, type AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";
import { take } from "./take.js";

export const addAppList: AddCommand = (group, run) => {
  group
    .command("list")
    .summary("list applications by name")
    .option("--removed", "also those that were removed")
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 100)
    .action(
      run(async (session, options: { limit: number; removed?: boolean }) => {
        const { client, signal } = session;
        const applications = await take(
          session,
          client.applications.list({ signal, includeRemoved: options.removed === true }),
          options.limit,
        );
        const look = lookOf(session);
        await print(
          session,
          () => ({ applications: applications.map((one) => messageJson(Application, one)) }),
          () =>
            table(
              ["APPLICATION", "REVISION", "CHANGED", "REMOVED", "REGIONS", "REPOSITORY"],
              applications.map(({ name, revision, updateTime, removeTime, spec }) => [
                name,
                String(revision),
                agoText(updateTime, look.now),
                agoText(removeTime, look.now),
                (spec?.regions ?? []).join(","),
                spec?.source?.repository ?? "",
              ]),
              look,
            ),
        );
      }),
    );
};
