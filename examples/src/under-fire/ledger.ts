import { Release } from "@slipway/proto";
import { Client } from "pg";
import type {
  ApplicationFact,
  AuditFact,
  BuildChange,
  BuildFact,
  DeploymentChange,
  DeploymentFact,
  Facts,
  FreezeFact,
  OperationFact,
} from "./facts.js";
import { LEDGER_SCHEMA } from "./ledger-schema.js";

const TIMEOUT_MS = 30_000;

/** What Postgres knows of a run. */
export type LedgerFacts = Pick<
  Facts,
  | "builds"
  | "buildChanges"
  | "deployments"
  | "deploymentChanges"
  | "applications"
  | "freezes"
  | "decommissioned"
  | "operations"
  | "audit"
>;

/** Has Postgres write down from now on what becomes of things. */
export async function openLedger(url: string): Promise<void> {
  await withClient(url, (client) => client.query(LEDGER_SCHEMA));
}

/** Hosts that were taken out of the fleet for good. @throws Error if Postgres is away. */
export async function readDecommissioned(url: string): Promise<string[]> {
  return withClient(url, (client) => decommissionedIn(client));
}

/** How much is not over yet. */
export interface OpenCounts {
  builds: number;
  deployments: number;
  notifications: number;
}

export async function countOpen(url: string): Promise<OpenCounts> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<OpenCounts>(`select
      (select count(*)::integer from builds where finish_time is null) as builds,
      (select count(*)::integer from deployments where finish_time is null) as deployments,
      (select count(*)::integer from notifications where finish_time is null) as notifications`);
    return rows[0]!;
  });
}

/** Reads all of it. @throws Error if Postgres is away. */
export async function readLedger(url: string): Promise<LedgerFacts> {
  return withClient(url, async (client) => {
    const all = async <T extends object>(sql: string): Promise<T[]> =>
      (await client.query<T>(sql)).rows;
    const builds = await all<BuildRow>(`select ${BUILD_COLUMNS} from builds`);
    const buildChanges = await all<BuildRow>(
      `select ${BUILD_COLUMNS} from under_fire.build_changes order by seq`,
    );
    const deployments = await all<DeploymentRow>("select * from deployments order by id");
    const deploymentChanges = await all<DeploymentChange>(CHANGES);
    return {
      builds: builds.map(buildOf),
      buildChanges: buildChanges.map((row): BuildChange => buildOf(row)),
      deployments: deployments.map(deploymentOf),
      deploymentChanges: deploymentChanges.map((row) => ({
        ...row,
        pauseReason: row.pauseReason ?? undefined,
      })),
      applications: await all<ApplicationFact>(APPLICATIONS),
      freezes: (await all<FreezeFact>(FREEZES)).map((row) => ({
        ...row,
        application: row.application ?? undefined,
        region: row.region ?? undefined,
      })),
      decommissioned: await decommissionedIn(client),
      operations: await all<OperationFact>(
        "select action, subject from under_fire.operations order by seq",
      ),
      audit: await all<AuditFact>(AUDIT),
    };
  });
}

async function decommissionedIn(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    "select host_id as id from hosts where decommission_time is not null order by host_id",
  );
  return rows.map(({ id }) => id);
}

const CHANGES = `
  select id, extract(epoch from time)::float8 * 1000 as "timeMs", state, limits, step, phase,
    regions, promoted_step as "promotedStep", pause_reason as "pauseReason"
  from under_fire.deployment_changes order by seq`;
const APPLICATIONS = `
  select name, remove_time is not null as "isRemoved",
    coalesce(removal_generation, 0)::float8 as "removalGeneration",
    coalesce(removal_regions, '{}') as "removalRegions"
  from applications order by name`;
const FREEZES = `
  select application, region, extract(epoch from create_time)::float8 * 1000 as "fromMs",
    extract(epoch from least(expire_time, end_time))::float8 * 1000 as "untilMs"
  from freezes order by create_time`;
const AUDIT = `
  select action, deployment_id as "deploymentId",
    case action when 'token.refused' then actor || ': ' || message
      else coalesce(host_id, build_id::text, application, region, '') end as subject
  from audit_entries order by time, id`;
const BUILD_COLUMNS = "id, status, attempt, artifact_digest";

interface BuildRow {
  id: string;
  status: string;
  attempt: number;
  artifact_digest: string | null;
}

interface DeploymentRow {
  id: string;
  application: string;
  generation: string;
  state: string;
  run_release: Buffer;
  previous_release: Buffer | null;
  limits: Record<string, number> | null;
  is_rollback: boolean;
  override_freeze: boolean;
  create_time: Date;
}

function buildOf({ id, status, attempt, artifact_digest: digest }: BuildRow): BuildFact {
  return { id, status, attempt, artifactDigest: digest ?? undefined };
}

function deploymentOf(row: DeploymentRow): DeploymentFact {
  const { id, application, state } = row;
  return {
    id,
    application,
    generation: Number(row.generation),
    state,
    runDigest: Release.decode(row.run_release).artifactDigest,
    previousDigest: row.previous_release
      ? Release.decode(row.previous_release).artifactDigest
      : undefined,
    limits: row.limits ?? {},
    isRollback: row.is_rollback,
    overridesFreeze: row.override_freeze,
    createTimeMs: row.create_time.getTime(),
  };
}

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  // Postgres may be killed at any time; whoever waits for an answer is told.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
