import { makeToken } from "../auth/tokens.js";
import { artifactOf } from "../fleet.js";
import { goodSpec } from "../postgres.js";
import type { Maker } from "./maker.js";

const in1h = (): object => ({ seconds: Math.floor(Date.now() / 1_000) + 3_600 });
const by = { actor: "ada", reason: "a test" };
/** A request of each method in which all is right, and what of it such a call may change. */
export const METHODS: Record<
  string,
  { base: (make: Maker, field: string) => object | Promise<object>; changes: readonly string[] }
> = {
  "ApplicationService/ApplyApplication": {
    base: () => ({ name: "shop-2", spec: goodSpec(), ...by }),
    changes: ["applications", "application_revisions", "audit_entries"],
  },
  "ApplicationService/GetApplication": { base: () => ({ name: "shop" }), changes: [] },
  "ApplicationService/ListApplications": { base: () => ({}), changes: [] },
  "ApplicationService/RemoveApplication": {
    base: async (make) => ({ name: await make.applied(), ...by }),
    changes: ["applications", "audit_entries"],
  },
  "BuildService/SubmitBuild": {
    base: (make) => ({ application: "shop", commitSha: make.sha() }),
    changes: ["builds", "build_submissions", "audit_entries"],
  },
  "BuildService/GetBuild": { base: async (make) => ({ id: await make.submitted() }), changes: [] },
  "BuildService/GetBuildProvenance": {
    base: async (make) => ({ id: await make.submitted() }),
    changes: [],
  },
  "BuildService/ListBuilds": { base: () => ({ application: "shop" }), changes: [] },
  "BuildService/CancelBuild": {
    base: async (make) => ({ id: await make.submitted(), ...by }),
    changes: ["builds", "build_submissions", "audit_entries"],
  },
  "BuildService/WatchBuild": {
    base: async (make) => ({ id: await make.submitted() }),
    changes: [],
  },
  "BuilderService/Work": {
    base: async (make) => {
      const lease = await make.leased();
      const line = { time: in1h(), source: 1, text: "x" };
      return {
        hello: { builderId: "b1", platform: "linux/x64" },
        heartbeat: { leases: [lease] },
        logs: { lease, batch: 1, lines: [line] },
        complete: { lease, artifact: artifactOf("a") },
        fail: { lease, failure: { reason: 7, message: "x" }, retry: false },
      };
    },
    changes: ["builds", "unplanned_builds", "audit_entries"],
  },
  "DeploymentService/CreateDeployment": {
    base: async (make) => ({ buildId: (await make.built()).id, creator: "ada", reason: "a test" }),
    changes: ["deployments", "audit_entries", "notifications"],
  },
  "DeploymentService/GetDeployment": {
    base: async (make) => ({ id: await make.paused() }),
    changes: [],
  },
  "DeploymentService/ListDeployments": { base: () => ({ application: "shop" }), changes: [] },
  "DeploymentService/WatchDeployment": {
    base: async (make) => ({ id: await make.paused() }),
    changes: [],
  },
  "DeploymentService/RollBack": {
    base: async (make) => ({ ...(await make.deployedTwice()), creator: "ada", reason: "a test" }),
    changes: ["deployments", "audit_entries", "notifications"],
  },
  "DeploymentService/PlanDeployment": {
    base: async (make) => ({
      create: { buildId: (await make.built()).id },
      rollBack: await make.deployedTwice(),
    }),
    changes: [],
  },
  ...Object.fromEntries(
    ["Pause", "Resume", "Promote", "Abort"].map((verb) => [
      `DeploymentService/${verb}Deployment`,
      {
        base: async (make) => ({ id: await make.paused(), ...by }),
        changes: ["deployments", "audit_entries", "notifications"],
      },
    ]),
  ),
  "ReplicationService/WatchReplicationTargets": { base: () => ({ region: "eu" }), changes: [] },
  "ReplicationService/ReportReplication": {
    base: async (make) => ({ region: "eu", artifactDigest: (await make.built()).digest, state: 4 }),
    changes: ["replications"],
  },
  "ReplicationService/GetReplicationStatus": {
    base: async (make) => ({ artifactDigest: (await make.built()).digest }),
    changes: [],
  },
  "FleetService/ListHosts": { base: () => ({ region: "eu" }), changes: [] },
  "FleetService/EnrolHosts": {
    base: (make) => ({ hosts: [{ hostId: make.name(), region: "eu", cell: "c1" }] }),
    changes: ["hosts"],
  },
  "FleetService/ListEnrolledHosts": { base: () => ({ region: "eu" }), changes: [] },
  "FleetService/DecommissionHost": {
    base: async (make) => ({ hostId: await make.enrolled(), ...by }),
    changes: ["hosts", "members", "audit_entries"],
  },
  "FleetService/ReadHostLog": {
    base: async (make) => ({ hostId: await make.enrolled(), application: "shop" }),
    changes: [],
  },
  "FreezeService/CreateFreeze": {
    base: async (make) => {
      const application = await make.applied();
      return { application, region: "eu", expireTime: in1h(), ...by };
    },
    changes: ["freezes", "audit_entries"],
  },
  "FreezeService/EndFreeze": {
    base: async (make) => ({ id: await make.frozen(), ...by }),
    changes: ["freezes", "audit_entries"],
  },
  "AuditService/ListAuditEntries": { base: () => ({}), changes: [] },
  "MembershipService/ListMembers": { base: () => ({}), changes: [] },
  "MembershipService/RevokeMember": {
    base: async (make) => ({ id: await make.joined(), ...by }),
    changes: ["members", "hosts", "audit_entries"],
  },
  "MembershipService/ReleaseMember": {
    base: async (make) => ({ id: await make.joined(), ...by }),
    changes: ["members", "audit_entries"],
  },
  "TokenService/CreateToken": {
    base: (_, field) => ({
      name: "ci",
      role: field === "region" ? 5 : field === "subject" ? 4 : 1,
      expireTime: in1h(),
      ...by,
    }),
    changes: ["tokens", "audit_entries"],
  },
  "TokenService/ListTokens": { base: () => ({}), changes: [] },
  "TokenService/RevokeToken": {
    base: async (make) => ({ id: (await makeToken(make.world.db, "viewer")).id, ...by }),
    changes: ["tokens", "audit_entries"],
  },
};
