import { Application } from "@slipway/proto";
import { InvalidArgumentError } from "commander";
import { SlipwayError } from "../errors.js";
import { APPLICATION_EXAMPLE } from "./application-example.js";
import { filePath, readApplicationFile, type ApplicationFile } from "./application-file.js";
import { UsageError } from "./exit-code.js";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

interface Options {
  file?: string;
  example?: boolean;
  expectedRevision?: number;
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
        const { signal } = session;
        const { expectedRevision = 0 } = options;
        const applied = await session.client.applications
          .apply({ name: file.name, spec: file.spec, expectedRevision }, { signal })
          .catch((error: unknown) => {
            throw inFile(error, file, name);
          });
        const { application, changed } = applied;
        await print(
          session,
          () => ({ application: messageJson(Application, application), changed }),
          () => {
            const what = `${plain(application.name)} revision ${application.revision}`;
            return changed ? `applied ${what}\n` : `${what} says the same; nothing changed\n`;
          },
        );
      }),
    );
};

/** The coordinator's violations, by the lines and keys of the file. */
function inFile(error: unknown, file: ApplicationFile, fileName: string): unknown {
  if (!(error instanceof SlipwayError) || error.violations.length === 0) return error;
  const violations = error.violations
    .map(({ field, description }) => ({ field, description, line: file.lineOf(field) }))
    .sort((one, other) => (one.line ?? 0) - (other.line ?? 0))
    .map(({ field, description, line }) => {
      const at = line === undefined ? fileName : `${fileName}:${line}`;
      return { field: `${at} ${filePath(field)}`, description };
    });
  const { code, reason, retryable } = error;
  const message = `the coordinator refused ${fileName}`;
  return new SlipwayError({ code, message, reason, retryable, violations, cause: error });
}

export function parseRevision(text: string): number {
  const revision = Number(text);
  if (/^\d{1,10}$/.test(text) && revision > 0 && revision < 2 ** 32) return revision;
  throw new InvalidArgumentError("It must be a whole number from 1.");
}
