import type { Knex } from "knex";
import { UUID_PATTERN } from "../validate.js";
import type { ApplicationLookUp } from "./rules.js";

/** Finds applications in the database, for tokens that are limited to some. */
export function createApplicationLookUp(db: Knex): ApplicationLookUp {
  const byId = async (table: string, id: string): Promise<readonly string[]> => {
    if (!UUID_PATTERN.test(id)) return [];
    const rows: { application: string | null }[] = await db(table)
      .select("application")
      .where({ id });
    return rows.flatMap(({ application }) => application ?? []);
  };
  return {
    ofBuild: (id) => byId("builds", id),
    ofDeployment: (id) => byId("deployments", id),
    ofFreeze: (id) => byId("freezes", id),
    async ofArtifact(digest) {
      const rows: { application: string }[] = await db("builds")
        .distinct("application")
        .where({ artifact_digest: digest });
      return rows.map(({ application }) => application);
    },
  };
}
