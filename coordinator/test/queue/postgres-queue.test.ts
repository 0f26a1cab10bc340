import type { BuildFailureReason } from "@slipway/proto";
import { getBuild } from "../../src/build/store.js";
import { EventBus } from "../../src/events.js";
import { PostgresQueue } from "../../src/queue/postgres-queue.js";
import { addApplication, openPool, openTestDatabase, silent } from "../postgres.js";
import { queueConformance } from "./conformance.js";

queueConformance("postgres queue", async () => {
  const database = await openTestDatabase();
  const { db } = database;
  const queueDb = openPool(database.url, { byIndex: true });
  return {
    queue: (leaseDurationMs) =>
      new PostgresQueue({ db: queueDb, events: new EventBus(silent), leaseDurationMs }),
    addApplication: (name, maxAttempts) => addApplication(db, name, maxAttempts),
    async read(buildId) {
      const { build } = await getBuild(db, buildId);
      const names = ["", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED"];
      const reason: BuildFailureReason | undefined = build.failure?.reason;
      return {
        status: names[build.status] ?? "",
        attempt: build.attempt,
        builderId: build.builderId,
        failure: reason,
        digest: build.artifact?.digest,
      };
    },
    async clear() {
      await db.raw("truncate build_submissions, builds cascade");
    },
    async close() {
      await queueDb.destroy();
      await database.close();
    },
  };
});
