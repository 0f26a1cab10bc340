import { Freeze } from "@slipway/proto";
import { UsageError } from "./exit-code.js";
import { messageJson } from "./json.js";
import { freezeText } from "./render/freeze.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";
import { parseDurationOption, parseTimeOption } from "./time-option.js";

interface Options {
  app?: string;
  region?: string;
  for?: number;
  until?: Date;
  reason: string;
}

export const addFreezeCreate: AddCommand = (group, run) => {
  group
    .command("create")
    .summary("hold up new deployments of an application, or in a region")
    .description(
      "Until it ends, no deployment of the application, or of any application in the region, is created " +
        "without --override-freeze, and no step of a running one begins in it. Roll-backs and aborts " +
        "are never held up.",
    )
    .option("--app <app>", "freeze this application")
    .option("--region <region>", "freeze this region, for every application")
    .option(
      "--for <duration>",
      "how long, such as 90m, 12h or 3d; at most 90d",
      parseDurationOption,
    )
    .option("--until <time>", "or until when, such as 2026-12-27T06:00:00Z", parseTimeOption)
    .requiredOption("--reason <text>", "why, for people to read later")
    .addHelpText(
      "after",
      '\nExamples:\n  slipway freeze create --region eu --for 12h --reason "network works"\n' +
        '  slipway freeze create --app web --until 2026-12-27T06:00:00Z --reason "sale"',
    )
    .action(
      run(async (session, { app, region, for: ms, until, reason }: Options) => {
        if ((app === undefined) === (region === undefined)) {
          throw new UsageError("say what to freeze: either --app APP or --region REGION");
        }
        if ((ms === undefined) === (until === undefined)) {
          throw new UsageError("say when it ends: either --for DURATION or --until TIME");
        }
        const { client, signal, user } = session;
        const freeze = await client.freezes.create(
          {
            ...(app === undefined ? {} : { application: app }),
            ...(region === undefined ? {} : { region }),
            actor: user,
            reason,
            expireTime: until ?? new Date(session.now() + (ms ?? 0)),
          },
          { signal },
        );
        await print(
          session,
          () => ({ freeze: messageJson(Freeze, freeze) }),
          () => freezeText(freeze, lookOf(session)),
        );
      }),
    );
};
