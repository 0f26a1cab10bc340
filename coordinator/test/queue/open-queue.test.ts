import { test } from "uvu";
import * as assert from "uvu/assert";
import { startPostgres } from "@slipway/examples/servers";
import { openQueue } from "../../src/queue/index.js";
import { goodSpec, sha, silent } from "../postgres.js";

test("the queue opens by itself, and seats builders", async () => {
  const server = await startPostgres();
  try {
    const open = await openQueue(await server.createDatabase("queue"), silent);
    try {
      await open.apply("shop", goodSpec());
      const given = new Promise<string>((resolve) => {
        const seat = open.dispatcher.seat("b1", ({ commitSha }) => {
          resolve(commitSha);
          return true;
        });
        seat.setFree(1);
      });
      const submission = { application: "shop", commitSha: sha(1), submitter: "ann" };
      await open.queue.submit({ ...submission, idempotencyKey: "" });
      assert.is(await given, sha(1));
    } finally {
      await open.close();
    }
  } finally {
    await server.stop();
  }
});

test.run();
