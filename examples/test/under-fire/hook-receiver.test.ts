import { createHmac } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isSignedBy, startHookReceiver } from "../../src/under-fire/hook-receiver.js";
import { seededRandom } from "../../src/under-fire/random.js";

const SECRET = "0123456789abcdef";
const body = JSON.stringify({
  id: "n1",
  deployment: { id: "d1", state: "DEPLOYMENT_STATE_SUCCEEDED" },
});
const mac = (text: string, secret = SECRET): string =>
  createHmac("sha256", secret).update(text).digest("hex");

test("a signature fits its secret, time and body, and no others", () => {
  const fits = (header: string, nowS = 1_000): boolean => isSignedBy(SECRET, header, body, nowS);
  assert.ok(fits(`t=1000,v1=${mac(`1000.${body}`)}`));
  assert.not(fits(`t=1000,v1=${mac(`1000.${body}`)}`, 1_100), "too old");
  assert.not(fits(`t=1001,v1=${mac(`1000.${body}`)}`), "another time");
  assert.not(fits(`t=1000,v1=${mac(`1000.${body} `)}`), "another body");
  assert.not(fits(`t=1000,v1=${mac(`1000.${body}`, "fedcba9876543210")}`), "another secret");
  for (const header of ["", "t=1000", `t=x,v1=${mac(body)}`, "t=1000,v1=00"]) {
    assert.not(fits(header), header);
  }
});

test("what comes is kept, and not always taken", async () => {
  const receiver = await startHookReceiver(SECRET, seededRandom(1));
  try {
    const statuses = new Set<number>();
    for (let n = 0; n < 40; n++) {
      const t = Math.floor(Date.now() / 1_000);
      const headers = { "slipway-signature": `t=${t},v1=${mac(`${t}.${body}`)}` };
      const answer = await fetch(receiver.url, { method: "POST", body, headers });
      statuses.add(answer.status);
    }
    assert.equal(statuses, new Set([204, 503]));
    assert.is(receiver.deliveries.length, 40);
    for (const { id, deploymentId, state, isSigned } of receiver.deliveries) {
      assert.equal([id, deploymentId, state, isSigned], ["n1", "d1", "SUCCEEDED", true]);
    }
    const taken = receiver.deliveries.filter(({ isTaken }) => isTaken);
    assert.ok(taken.length > 20 && taken.length < 40);
  } finally {
    await receiver.close();
  }
});

test.run();
