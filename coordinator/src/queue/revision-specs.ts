import { ApplicationSpec } from "@slipway/proto";
import type { Knex } from "knex";
import { runStatement, type Statement } from "../db/connection.js";

/** Names a revision of an application, which never changes. */
export interface RevisionKey {
  application: string;
  revision: number;
}

/** Specs that are remembered, of 256 KiB at most; beyond, those longest unused are forgotten. */
const MAX_SPECS = 200;

const SPECS: Statement = {
  name: "slipway_revision_specs",
  text: `
    select r.application, r.revision, r.spec
    from unnest($1::text[], $2::integer[]) wanted(application, revision)
    join application_revisions r
      on r.application = wanted.application and r.revision = wanted.revision`,
};

/** The specs of revisions, read once: a busy queue leases builds of the same few all the time. */
export class RevisionSpecs {
  readonly #db: Knex;
  /** In order of use. */
  readonly #specs = new Map<string, ApplicationSpec>();

  constructor(db: Knex) {
    this.#db = db;
  }

  /** The spec of each, in order. */
  async of(keys: readonly RevisionKey[]): Promise<ApplicationSpec[]> {
    const wanted = new Map(keys.map((key) => [nameOf(key), key]));
    const found = new Map<string, ApplicationSpec>();
    for (const name of wanted.keys()) {
      const spec = this.#specs.get(name);
      if (spec !== undefined) found.set(name, spec);
    }
    const missing = [...wanted].filter(([name]) => !found.has(name)).map(([, key]) => key);
    for (const [name, spec] of await this.#read(missing)) found.set(name, spec);
    this.#remember(found);
    return keys.map((key) => {
      const spec = found.get(nameOf(key));
      if (spec === undefined) throw new Error(`there is no revision ${nameOf(key)}`);
      return spec;
    });
  }

  async #read(keys: readonly RevisionKey[]): Promise<[string, ApplicationSpec][]> {
    if (keys.length === 0) return [];
    const rows = await runStatement<RevisionKey & { spec: Buffer }>(this.#db, SPECS, [
      keys.map(({ application }) => application),
      keys.map(({ revision }) => revision),
    ]);
    return rows.map((row) => [nameOf(row), ApplicationSpec.decode(row.spec)]);
  }

  #remember(used: ReadonlyMap<string, ApplicationSpec>): void {
    for (const [name, spec] of used) {
      this.#specs.delete(name);
      this.#specs.set(name, spec);
    }
    for (const name of this.#specs.keys()) {
      if (this.#specs.size <= MAX_SPECS) break;
      this.#specs.delete(name);
    }
  }
}

const nameOf = ({ application, revision }: RevisionKey): string => `${application}@${revision}`;
