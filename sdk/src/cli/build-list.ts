import { Build, BuildStatus } from "@slipway/proto";
import { Option } from "commander";
import { messageJson } from "./json.js";
import { buildTable } from "./render/build.js";
import { parseLimit, type AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";
import { take } from "./take.js";

const STATUSES = {
  queued: BuildStatus.QUEUED,
  running: BuildStatus.RUNNING,
  succeeded: BuildStatus.SUCCEEDED,
  failed: BuildStatus.FAILED,
} as const;

interface Options {
  app?: string;
  status?: keyof typeof STATUSES;
  commit?: string;
  limit: number;
}

export const addBuildList: AddCommand = (group, run) => {
  group
    .command("list")
    .summary("list builds, newest first")
    .option("--app <app>", "only of this application")
    .addOption(new Option("--status <status>", "only these").choices(Object.keys(STATUSES)))
    .option("--commit <sha>", "only of this commit")
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 20)
    .addHelpText("after", "\nExample:\n  slipway build list --app web --status failed")
    .action(
      run(async (session, options: Options) => {
        const { client, signal } = session;
        const filter = {
          ...(options.app === undefined ? {} : { application: options.app }),
          ...(options.commit === undefined ? {} : { commitSha: options.commit }),
          ...(options.status === undefined ? {} : { status: STATUSES[options.status] }),
        };
        const builds = await take(session, client.builds.list(filter, { signal }), options.limit);
        await print(
          session,
          () => ({ builds: builds.map((build) => messageJson(Build, build)) }),
          () => buildTable(builds, lookOf(session)),
        );
      }),
    );
};
