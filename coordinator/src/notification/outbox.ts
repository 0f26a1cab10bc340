import { ApplicationSpec, type Deployment } from "@slipway/proto";
import type { Knex } from "knex";
import { uuidv7 } from "../uuid.js";
import { notificationBody } from "./body.js";

/**
 * Notes that the hooks of the deployment's application are to be told of its state: those of the
 * application's present revision. In the transaction that changes the state, so that neither is
 * there without the other.
 */
export async function enqueueNotification(
  trx: Knex.Transaction,
  deployment: Deployment,
): Promise<void> {
  const { id: deploymentId, application } = deployment;
  const row = (await trx("application_revisions as r")
    .join("applications as a", (join) =>
      join.on("a.name", "r.application").andOn("a.revision", "r.revision"),
    )
    .where("a.name", application)
    .first("r.spec", trx.raw("clock_timestamp() as now"))) as
    { spec: Buffer; now: Date } | undefined;
  if (row === undefined) return;
  const { notificationHooks } = ApplicationSpec.decode(row.spec);
  if (notificationHooks.length === 0) return;
  await trx("notifications").insert(
    notificationHooks.map(({ url }) => {
      const id = uuidv7();
      const body = notificationBody({ id, time: row.now, deployment });
      return { id, application, deployment_id: deploymentId, url, body };
    }),
  );
}
