/** Which page of a list. */
export interface PageRequest {
  /** How many at most. Default and maximum are the coordinator's, by list. */
  pageSize?: number;
  /** From the page before; empty or absent is the first. */
  pageToken?: string;
}

/** One page of a list. */
export interface Page<Item> {
  items: Item[];
  /** Names the next page; empty on the last. */
  nextPageToken: string;
}

/** Every item of every page, asking for a page when the one before has been read. */
export async function* everyItem<Item>(
  readPage: (pageToken: string) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  let pageToken = "";
  do {
    const page = await readPage(pageToken);
    yield* page.items;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
