import { CreateDeploymentRequest, RollBackRequest } from "@slipway/proto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkCreate, checkRollBack } from "../../src/rpc/deployment/asked.js";
import { Violations } from "../../src/validate.js";

const BUILD = "01a207b8-14ae-73e1-a2d5-7a01151171ae";

test("a reason that no database holds is refused, whatever is asked", () => {
  const found = new Violations();
  checkCreate(CreateDeploymentRequest.fromPartial({ buildId: BUILD, reason: "a\0b" }), found);
  checkRollBack(RollBackRequest.fromPartial({ application: "web", reason: "a\0b" }), found);
  assert.equal(
    found.found.map(({ field }) => field),
    ["reason", "reason"],
  );
});

test("a reason of several lines is fine", () => {
  const found = new Violations();
  checkCreate(CreateDeploymentRequest.fromPartial({ buildId: BUILD, reason: "a\n\tb" }), found);
  assert.equal(found.found, []);
});

test.run();
