import { Application } from "@slipway/proto";
import { parseRevision } from "./app-apply.js";
import { applicationText } from "./application-text.js";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plainLines } from "./text.js";

export const addAppGet: AddCommand = (group, run) => {
  group
    .command("get")
    .summary("print an application as a file that apply takes")
    .description("Prints an application as YAML that `slipway app apply` takes again.")
    .argument("<app>", "the application's name")
    .option("--revision <n>", "an earlier revision instead of the present one", parseRevision)
    .addHelpText("after", "\nExample:\n  slipway app get web --revision 3 > app.yaml")
    .action(
      run(async (session, name: string, options: { revision?: number }) => {
        const { signal } = session;
        const application = await session.client.applications.get(name, { ...options, signal });
        await print(
          session,
          () => ({ application: messageJson(Application, application) }),
          () => {
            const head = `# ${application.name} revision ${application.revision}\n`;
            return plainLines(head + applicationText(application));
          },
        );
      }),
    );
};
