import { note, type Session } from "./session.js";

/** The first items of a list, and a note if there are more. */
export async function take<Item>(
  session: Session,
  items: AsyncIterable<Item>,
  limit: number,
): Promise<Item[]> {
  const taken: Item[] = [];
  for await (const item of items) {
    if (taken.length >= limit) {
      await note(session, `There are more than these ${limit}: see them with --limit all`);
      break;
    }
    taken.push(item);
  }
  return taken;
}
