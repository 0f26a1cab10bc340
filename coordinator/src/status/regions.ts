import type { Context } from "../context.js";
import { countHosts } from "./enrolment.js";

/** Every region that an application names, that has hosts, or whose agents were heard of. */
export async function knownRegions({ db, status }: Pick<Context, "db" | "status">): Promise<{
  names: ReadonlySet<string>;
  /** Enrolled hosts by region. */
  hosts: ReadonlyMap<string, number>;
}> {
  const named = db("application_revisions as r")
    .join("applications as a", (join) =>
      join.on("a.name", "r.application").andOn("a.revision", "r.revision"),
    )
    .whereNull("a.remove_time")
    .distinct(db.raw("unnest(r.regions) as region")) as Promise<{ region: string }[]>;
  const [hosts, rows] = await Promise.all([countHosts(db), named]);
  const regions = rows.map(({ region }) => region);
  return { names: new Set([...hosts.keys(), ...regions, ...status.regions()]), hosts };
}
