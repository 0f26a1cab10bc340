import { AuditEntry } from "@slipway/proto";
import { messageJson } from "./json.js";
import { auditTable } from "./render/audit.js";
import { parseLimit, type AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";
import { take } from "./take.js";
import { parseSinceOption, type Since } from "./time-option.js";

interface Options {
  app?: string;
  deployment?: string;
  actor?: string;
  action?: string;
  since?: Since;
  limit: number;
}

export const addAudit: AddCommand = (group, run) => {
  group
    .command("audit")
    .summary("who changed what, when and why, newest first")
    .option("--app <app>", "only of this application")
    .option("--deployment <id>", "only of this deployment")
    .option("--actor <name>", 'only by this person; "slipway" is the coordinator itself')
    .option("--action <action>", "only such as deployment.pause, or deployment for all of those")
    .option(
      "--since <time>",
      "only after this, such as 2h, 7d or 2026-12-24T00:00:00Z",
      parseSinceOption,
    )
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 100)
    .addHelpText("after", "\nExample:\n  slipway audit --app web --action deployment --since 7d")
    .action(
      run(async (session, { app, deployment, actor, action, since, limit }: Options) => {
        const { client, signal } = session;
        const filter = {
          ...(app === undefined ? {} : { application: app }),
          ...(deployment === undefined ? {} : { deploymentId: deployment }),
          ...(actor === undefined ? {} : { actor }),
          ...(action === undefined ? {} : { action }),
          ...(since === undefined ? {} : { after: since(session.now()) }),
        };
        const entries = await take(session, client.audit.list(filter, { signal }), limit);
        await print(
          session,
          () => ({ entries: entries.map((entry) => messageJson(AuditEntry, entry)) }),
          () => auditTable(entries, lookOf(session)),
        );
      }),
    );
};
