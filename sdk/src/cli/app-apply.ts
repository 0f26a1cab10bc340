import { Application, ApplyWarning } from "@slipway/proto";
import { InvalidArgumentError } from "commander";
import { APPLICATION_EXAMPLE } from "./application-example.js";
import { readApplicationFile } from "./application-file.js";
import { UsageError } from "./exit-code.js";
import { inFile } from "./file-text.js";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { note, print } from "./session.js";
import { plain } from "./text.js";

interface Options {
  file?: string;
  example?: boolean;
  expectedRevision?: number;
  reason?: string;
}

export const addAppApply: AddCommand = (group, run) => {
  group
    .command("apply")
    .summary("create an application, or change it, from a file")
    .description(
      "Creates an application from a YAML or JSON file, or gives it a new revision if the file says " +
        "anything else than the present one. Applying the same file again changes nothing. Builds and " +
        "deployments that exist keep the revision that they were made with.",
    )
    .option("-f, --file <file>", 'the application file; "-" is standard input')
    .option("--expected-revision <n>", "refuse unless this is the present revision", parseRevision)
    .option("--reason <text>", "why, for people to read later")
    .option("--example", "print a commented application file, and do nothing")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  slipway app apply --example > app.yaml\n" +
        "  slipway app apply -f app.yaml\n" +
        "  slipway app get web | sed 's/timeout: 15m/timeout: 30m/' | slipway app apply -f -",
    )
    .action(
      run(async (session, options: Options) => {
        if (options.example === true) {
          await session.stdout.write(APPLICATION_EXAMPLE);
          return;
        }
        if (options.file === undefined) {
          throw new UsageError(
            "say which file with -f FILE; see what it holds with: slipway app apply --example",
          );
        }
        const name = options.file === "-" ? "standard input" : options.file;
        const file = readApplicationFile(await session.readFile(options.file), name);
        const { signal, user } = session;
        const { expectedRevision = 0, reason = "" } = options;
        const { name: application, spec } = file;
        const applied = await session.client.applications
          .apply({ name: application, spec, expectedRevision, actor: user, reason }, { signal })
          .catch((error: unknown) => {
            throw inFile(error, file);
          });
        const { changed, warnings } = applied;
        const warned = warnings.map((warning) => messageJson(ApplyWarning, warning));
        await print(
          session,
          () => ({
            application: messageJson(Application, applied.application),
            changed,
            ...(warned.length > 0 && { warnings: warned }),
          }),
          () => {
            const what = `${plain(application)} revision ${applied.application.revision}`;
            return changed ? `applied ${what}\n` : `${what} says the same; nothing changed\n`;
          },
        );
        if (session.json) return;
        for (const { message } of warnings) await note(session, `warning: ${plain(message)}`);
      }),
    );
};

export function parseRevision(text: string): number {
  const revision = Number(text);
  if (/^\d{1,10}$/.test(text) && revision > 0 && revision < 2 ** 32) return revision;
  throw new InvalidArgumentError("It must be a whole number from 1.");
}
