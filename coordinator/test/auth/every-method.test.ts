import type { Knex } from "knex";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Role } from "../../src/auth/identity.js";
import { Admission } from "../../src/auth/admission.js";
import type { ApplicationLookUp } from "../../src/auth/rules.js";
import type { Context } from "../../src/context.js";
import { ActiveCalls } from "../../src/rpc/calls.js";
import { Handlers, ruleOf, type ServiceEntry } from "../../src/rpc/handler.js";
import { createServices, requireRules } from "../../src/rpc/services.js";
import { startFleet, type TestFleet } from "../fleet.js";
import { openPool } from "../postgres.js";
import { callEmpty, makeToken } from "./tokens.js";

const test = suite("who may call every method");

const ROLES: readonly Role[] = ["viewer", "deployer", "admin", "builder", "region", "enrol"];
const VIEWERS: readonly Role[] = ["viewer", "deployer", "admin"];
const DEPLOYERS: readonly Role[] = ["deployer", "admin"];
const ADMINS: readonly Role[] = ["admin"];
const REGIONS: readonly Role[] = ["region"];

/** Said again here, so that nobody opens a method by a slip. */
const ALLOWED: Record<string, readonly Role[] | "everybody"> = {
  "ApplicationService/ApplyApplication": ADMINS,
  "ApplicationService/GetApplication": VIEWERS,
  "ApplicationService/RemoveApplication": ADMINS,
  "ApplicationService/ListApplications": VIEWERS,
  "BuildService/SubmitBuild": DEPLOYERS,
  "BuildService/GetBuild": VIEWERS,
  "BuildService/GetBuildProvenance": VIEWERS,
  "BuildService/ListBuilds": VIEWERS,
  "BuildService/CancelBuild": DEPLOYERS,
  "BuildService/WatchBuild": VIEWERS,
  "BuilderService/Work": ["builder"],
  "DeploymentService/CreateDeployment": DEPLOYERS,
  "DeploymentService/GetDeployment": VIEWERS,
  "DeploymentService/ListDeployments": VIEWERS,
  "DeploymentService/WatchDeployment": VIEWERS,
  "DeploymentService/RollBack": DEPLOYERS,
  "DeploymentService/PlanDeployment": VIEWERS,
  "DeploymentService/PauseDeployment": DEPLOYERS,
  "DeploymentService/ResumeDeployment": DEPLOYERS,
  "DeploymentService/PromoteDeployment": DEPLOYERS,
  "DeploymentService/AbortDeployment": DEPLOYERS,
  "ReplicationService/WatchReplicationTargets": REGIONS,
  "ReplicationService/ReportReplication": REGIONS,
  "ReplicationService/GetReplicationStatus": VIEWERS,
  "FleetService/ListRegions": VIEWERS,
  "FleetService/ListHosts": VIEWERS,
  "FleetService/EnrolHosts": REGIONS,
  "FleetService/ListEnrolledHosts": REGIONS,
  "FleetService/DecommissionHost": ADMINS,
  "FleetService/ReadHostLog": VIEWERS,
  "FreezeService/CreateFreeze": DEPLOYERS,
  "FreezeService/ListFreezes": VIEWERS,
  "FreezeService/EndFreeze": DEPLOYERS,
  "AuditService/ListAuditEntries": VIEWERS,
  "MembershipService/Join": ["enrol"],
  "MembershipService/GetTime": "everybody",
  "MembershipService/Renew": "everybody",
  "MembershipService/ListMembers": VIEWERS,
  "MembershipService/RevokeMember": ADMINS,
  "MembershipService/ReleaseMember": ADMINS,
  "TokenService/CreateToken": ADMINS,
  "TokenService/ListTokens": ADMINS,
  "TokenService/RevokeToken": ADMINS,
  "TokenService/WhoAmI": ROLES,
};

const services: readonly ServiceEntry[] = createServices(
  new Handlers(
    {} as Context,
    new ActiveCalls(),
    new Admission({ authenticator: undefined, find: {} as ApplicationLookUp }),
  ),
);
const methods = services.flatMap(({ definition }) => Object.values(definition));
const nameOf = ({ path }: { path: string }): string => path.replace("/slipway.v1.", "");
const REFLECTION = {
  path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  requestStream: true,
  responseStream: true,
};
const HEALTH = {
  path: "/grpc.health.v1.Health/Check",
  requestStream: false,
  responseStream: false,
};

let fleet: TestFleet;
let db: Knex;
const tokens = new Map<Role, string>();

test.before(async () => {
  fleet = await startFleet();
});
test.after(async () => {
  await db?.destroy();
  await fleet.close();
});

test("every method says who may call it, and this test knows it", () => {
  requireRules(services);
  assert.equal(methods.map(nameOf).sort(), Object.keys(ALLOWED).sort());
  const [first] = services;
  assert.ok(first !== undefined);
  const open: ServiceEntry = { ...first, implementation: { ...first.implementation } };
  open.implementation["getApplication"] = () => undefined;
  assert.is(ruleOf(open.implementation["getApplication"]), undefined);
  assert.throws(() => requireRules([open]), /GetApplication does not say who may call it/);
});

test("the wrong role is refused everywhere, the right one is let in", async () => {
  const { address } = await fleet.start({ authentication: "tokens" });
  db = openPool(fleet.databaseUrl);
  for (const role of ROLES) tokens.set(role, (await makeToken(db, role)).text);
  for (const role of ROLES) {
    for (const method of methods) {
      const allowed = ALLOWED[nameOf(method)] ?? [];
      const ending = await callEmpty(address, method, tokens.get(role));
      const label = `${nameOf(method)} as ${role}: ${ending.code} ${ending.message}`;
      if (allowed === "everybody" || allowed.includes(role)) {
        assert.is.not(ending.reason, "ROLE_REQUIRED", label);
        assert.not.match(ending.reason, /^TOKEN_/, label);
        assert.not.match(ending.code, /^(INTERNAL|UNIMPLEMENTED|UNKNOWN)$/, label);
      } else {
        assert.equal([ending.code, ending.reason], ["PERMISSION_DENIED", "ROLE_REQUIRED"], label);
      }
    }
    assert.is((await callEmpty(address, REFLECTION, tokens.get(role))).code, "OK");
  }
});

test("without a token nothing is let in but what is open", async () => {
  // Another one: an address that fails has to wait before its new tokens are looked up.
  const { address } = await fleet.start({ authentication: "tokens" });
  const refusals = ["TOKEN_MISSING", "TOO_MANY_AUTH_FAILURES"];
  for (const method of [...methods, REFLECTION]) {
    if (ALLOWED[nameOf(method)] === "everybody") continue;
    const { reason, code } = await callEmpty(address, method, undefined);
    assert.ok(refusals.includes(reason), `${method.path}: ${code} ${reason}`);
  }
  assert.is((await callEmpty(address, HEALTH, undefined)).code, "OK");
});

test.run();
