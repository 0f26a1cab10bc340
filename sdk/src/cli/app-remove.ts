import { Application } from "@slipway/proto";
import { messageJson } from "./json.js";
import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

export const addAppRemove: AddCommand = (group, run) => {
  group
    .command("remove")
    .summary("stop an application on every host, and delete it there")
    .description(
      "Every host stops the application and deletes it; its deployment under way ends as ABORTED. Its " +
        "builds, deployments and revisions stay to be read, and applying it again brings it back. " +
        "Removing what is removed changes nothing.",
    )
    .argument("<app>", "the application's name")
    .requiredOption("--reason <text>", "why, for people to read later")
    .addHelpText("after", '\nExample:\n  slipway app remove web --reason "replaced by shop"')
    .action(
      run(async (session, name: string, { reason }: { reason: string }) => {
        const { client, signal, user } = session;
        const request = { name, actor: user, reason };
        const application = await client.applications.remove(request, { signal });
        await print(
          session,
          () => ({ application: messageJson(Application, application) }),
          () => `${plain(name)} is removed; its hosts stop it now\n`,
        );
      }),
    );
};
