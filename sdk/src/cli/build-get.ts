import { Build } from "@slipway/proto";
import { envelopeText } from "./envelope-text.js";
import { messageJson } from "./json.js";
import { buildFacts } from "./render/build.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";

export const addBuildGet: AddCommand = (group, run) => {
  group
    .command("get")
    .summary("show everything about one build")
    .argument("<build>", "the build's id")
    .option("--provenance", "print what its builder signed instead, as a DSSE envelope (JSON)")
    .action(
      run(async (session, id: string, { provenance }: { provenance?: boolean }) => {
        const { client, signal, stdout } = session;
        if (provenance === true) {
          const { envelope } = await client.builds.provenance(id, { signal });
          return stdout.write(`${envelopeText(envelope)}\n`);
        }
        const build = await client.builds.get(id, { signal });
        await print(
          session,
          () => ({ build: messageJson(Build, build) }),
          () => buildFacts(build, lookOf(session)),
        );
      }),
    );
};
