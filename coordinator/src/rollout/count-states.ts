import type { Knex } from "knex";
import { UNFINISHED, type State } from "./snapshot.js";

/** How many deployments are in each of the states that are not final. */
export async function countStates(db: Knex): Promise<Readonly<Partial<Record<State, number>>>> {
  const rows = (await db("deployments")
    .whereIn("state", [...UNFINISHED])
    .select("state")
    .count("* as deployments")
    .groupBy("state")) as unknown as { state: State; deployments: string }[];
  const found = new Map(rows.map(({ state, deployments }) => [state, Number(deployments)]));
  return Object.fromEntries(UNFINISHED.map((state) => [state, found.get(state) ?? 0]));
}
