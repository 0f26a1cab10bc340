import type { AddCommand } from "./run.js";
import { lookOf, note, printEvent } from "./session.js";
import { logText } from "./text.js";

interface Options {
  app: string;
  follow?: boolean;
}

export const addHostsLogs: AddCommand = (group, run) => {
  group
    .command("logs")
    .summary("print what an application prints on a host")
    .description(
      "Prints the end of an application's log on one host, which the host itself is asked for. On a " +
        "terminal, escape sequences other than colours are left out.",
    )
    .argument("<host>", "the host's id, as hosts says it")
    .requiredOption("--app <app>", "the application's name")
    .option("-f, --follow", "go on with what it prints, until interrupted")
    .addHelpText("after", "\nExample:\n  slipway hosts logs web-17 --app web -f")
    .action(
      run(async (session, hostId: string, { app, follow = false }: Options) => {
        const { client, json, stdout, signal } = session;
        const request = { hostId, application: app, follow };
        // A part may end inside a character if a line is longer than a part.
        const decoder = new TextDecoder();
        for await (const part of client.fleet.readHostLog(request, { signal })) {
          const { position, gap } = part;
          const content = decoder.decode(part.content, { stream: true });
          if (json) {
            await printEvent(session, { type: "log", content, position, gap });
            continue;
          }
          if (gap) await note(session, "(lines before this were rotated away)");
          const { colour } = lookOf(session);
          const lines = content.split("\n").map((line) => logText(line, colour));
          await stdout.write(stdout.isTerminal ? lines.join("\n") : content);
        }
      }),
    );
};
