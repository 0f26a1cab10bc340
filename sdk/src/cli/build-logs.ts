import { LogLine } from "@slipway/proto";
import { messageJson } from "./json.js";
import { logLine } from "./render/build.js";
import type { AddCommand } from "./run.js";
import { lookOf, printEvent } from "./session.js";

export const addBuildLogs: AddCommand = (group, run) => {
  group
    .command("logs")
    .summary("print a build's log")
    .description(
      "Prints the log lines that are kept of a build. On a terminal, escape sequences other than " +
        "colours are left out; into a file or pipe lines go as the build wrote them. The exit code " +
        "says whether the log could be read, not how the build went.",
    )
    .argument("<build>", "the build's id")
    .option("-f, --follow", "go on until the build has ended")
    .addHelpText("after", "\nExample:\n  slipway build logs -f 0190… | tee build.log")
    .action(
      run(async (session, id: string, options: { follow?: boolean }) => {
        const { client, json, stdout, signal } = session;
        const follow = options.follow === true;
        for await (const line of client.builds.logs(id, { follow, signal })) {
          if (json) await printEvent(session, { type: "log", line: messageJson(LogLine, line) });
          else await stdout.write(`${logLine(line, lookOf(session), stdout.isTerminal)}\n`);
        }
      }),
    );
};
