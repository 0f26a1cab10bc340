import { Build } from "@slipway/proto";
import { followBuild } from "./follow-build.js";
import { messageJson } from "./json.js";
import { blockedBy } from "./render/build.js";
import type { AddCommand } from "./run.js";
import { note, print, printEvent } from "./session.js";
import { plain } from "./text.js";

interface Options {
  key?: string;
  watch?: boolean;
  waitDeployable?: boolean;
}

export const addBuildSubmit: AddCommand = (group, run) => {
  group
    .command("submit")
    .summary("build a commit")
    .description(
      "Queues a build of a commit, and prints its id. If the same commit of the same application " +
        "revision is queued or being built already, joins that build instead of starting another.",
    )
    .argument("<app>", "the application's name")
    .argument("<sha>", "the full commit SHA, such as $(git rev-parse HEAD)")
    .option("--key <key>", "names this submission: the same key again answers the same build")
    .option("--watch", "show its log, and end when it has ended")
    .option("--wait-deployable", "as --watch, and wait until it is in every region")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  slipway build submit web $(git rev-parse HEAD)\n" +
        "  slipway build submit web $(git rev-parse HEAD) --wait-deployable && echo ready\n" +
        '  slipway build submit web "$SHA" --key "ci-$RUN_ID" --json',
    )
    .action(
      run(async (session, application: string, commitSha: string, options: Options) => {
        const { client, signal, user, json } = session;
        const key = options.key === undefined ? {} : { idempotencyKey: options.key };
        const submitted = await client.builds.submit(
          { application, commitSha, submitter: user, ...key },
          { signal },
        );
        const { build, submissionId, merged } = submitted;
        const watch = options.watch === true || options.waitDeployable === true;
        const document = { build: messageJson(Build, build), submissionId, merged };
        if (json && watch) {
          await printEvent(session, { type: "submitted", ...document });
        } else {
          await print(
            session,
            () => document,
            () =>
              `build ${plain(build.id)} ${merged ? "was there already" : "is queued"}\n` +
              `submission ${plain(submissionId)}\n` +
              (watch ? "" : `Watch it with: slipway build watch ${plain(build.id)}\n`),
          );
        }
        // Who watches it reads that there.
        const held = blockedBy(build);
        if (!watch && held !== "") await note(session, `held up: ${plain(held)}`);
        if (!watch) return undefined;
        const untilDeployable = options.waitDeployable === true;
        return followBuild(session, build.id, { logs: true, untilDeployable });
      }),
    );
};
