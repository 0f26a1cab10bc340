import { Release } from "@slipway/proto";
import { Client } from "pg";
import type {
  AuditFact,
  BuildChange,
  BuildFact,
  DeploymentChange,
  DeploymentFact,
  Facts,
} from "./facts.js";

const TIMEOUT_MS = 30_000;

// Written by Postgres in the transaction of each change, so that what was accepted is known whatever
// the coordinators say of it.
const SCHEMA = `
  create schema under_fire;
  create table under_fire.build_changes (
    seq bigserial primary key, id uuid not null, status text not null, attempt integer not null,
    artifact_digest text);
  create table under_fire.deployment_changes (
    seq bigserial primary key, id uuid not null, state text not null, limits jsonb not null);
  create function under_fire.note_build() returns trigger language plpgsql as $$ begin
    insert into under_fire.build_changes (id, status, attempt, artifact_digest)
      values (new.id, new.status, new.attempt, new.artifact_digest);
    return null;
  end $$;
  create function under_fire.note_deployment() returns trigger language plpgsql as $$ begin
    insert into under_fire.deployment_changes (id, state, limits)
      values (new.id, new.state, coalesce(new.limits, '{}'));
    return null;
  end $$;
  create trigger under_fire after insert on builds for each row
    execute function under_fire.note_build();
  create trigger under_fire_changes after update on builds for each row
    when ((old.status, old.attempt, old.artifact_digest)
      is distinct from (new.status, new.attempt, new.artifact_digest))
    execute function under_fire.note_build();
  create trigger under_fire after insert or update on deployments for each row
    execute function under_fire.note_deployment();
`;

/** What Postgres knows of a run. */
export type LedgerFacts = Pick<
  Facts,
  "builds" | "buildChanges" | "deployments" | "deploymentChanges" | "audit"
>;

/** Has Postgres write down from now on what becomes of builds and deployments. */
export async function openLedger(url: string): Promise<void> {
  await withClient(url, (client) => client.query(SCHEMA));
}

/** How much is not over yet. */
export async function countOpen(url: string): Promise<{ builds: number; deployments: number }> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ builds: number; deployments: number }>(`select
      (select count(*)::integer from builds where finish_time is null) as builds,
      (select count(*)::integer from deployments where finish_time is null) as deployments`);
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
    const deploymentChanges = await all<DeploymentChange>(
      "select id, state, limits from under_fire.deployment_changes order by seq",
    );
    const audit = await all<AuditFact>(
      `select deployment_id as "deploymentId", action from audit_entries
       where deployment_id is not null order by time, id`,
    );
    return {
      builds: builds.map(buildOf),
      buildChanges: buildChanges.map((row): BuildChange => buildOf(row)),
      deployments: deployments.map(deploymentOf),
      deploymentChanges,
      audit,
    };
  });
}

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
