import { Build, BuildStatus } from "@slipway/proto";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

export const addBuildCancel: AddCommand = (group, run) => {
  group
    .command("cancel")
    .summary("stop a build, or take back one submission of it")
    .description(
      "Stops a queued or running build, for everybody who submitted it. With --submission takes back " +
        "only that submission; the build stops if it was the last.",
    )
    .argument("<build>", "the build's id")
    .option("--submission <id>", "the id that `build submit` printed")
    .option("--reason <text>", "why, for people to read later")
    .action(
      run(async (session, id: string, options: { submission?: string; reason?: string }) => {
        const { client, signal, user } = session;
        const { reason = "" } = options;
        const submission =
          options.submission === undefined ? {} : { submissionId: options.submission };
        const build = await client.builds.cancel(id, {
          ...submission,
          actor: user,
          reason,
          signal,
        });
        const stopped = build.status === BuildStatus.FAILED;
        await print(
          session,
          () => ({ build: messageJson(Build, build) }),
          () =>
            stopped
              ? `build ${plain(build.id)} is cancelled\n`
              : `the submission is taken back; build ${plain(build.id)} goes on for others\n`,
        );
      }),
    );
};
