import { Build } from "@slipway/proto";
import { messageJson } from "./json.js";
import { buildFacts } from "./render/build.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";

export const addBuildGet: AddCommand = (group, run) => {
  group
    .command("get")
    .summary("show everything about one build")
    .argument("<build>", "the build's id")
    .action(
      run(async (session, id: string) => {
        const build = await session.client.builds.get(id, { signal: session.signal });
        await print(
          session,
          () => ({ build: messageJson(Build, build) }),
          () => buildFacts(build, lookOf(session)),
        );
      }),
    );
};
