import type { AddCommand } from "./run.js";
import { print } from "./session.js";
import { plain } from "./text.js";

export const addFreezeEnd: AddCommand = (group, run) => {
  group
    .command("end")
    .summary("end a freeze before its time")
    .description("Ends a freeze now. Ending one that has ended changes nothing.")
    .argument("<freeze>", "the freeze's id, as freeze list says it")
    .option("--reason <text>", "why, for people to read later")
    .action(
      run(async (session, id: string, options: { reason?: string }) => {
        const { client, signal, user } = session;
        await client.freezes.end(id, { actor: user, reason: options.reason ?? "" }, { signal });
        await print(
          session,
          () => ({ freezeId: id }),
          () => `freeze ${plain(id)} has ended\n`,
        );
      }),
    );
};
