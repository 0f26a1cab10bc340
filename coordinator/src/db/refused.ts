/** By SQLSTATE: what an operator has to mend. Trying again helps with none of them. */
const ADVICE = new Map([
  ["28P01", "name the right user and password in it"],
  [
    "28000",
    "name a user in it whom the server lets in from here, or allow that in its pg_hba.conf",
  ],
  ["3D000", "make the database, or name the right one in it"],
]);

/** Postgres lets nobody in with such a URL. */
export class DatabaseRefusedError extends Error {
  override readonly name = "DatabaseRefusedError";
}

/**
 * Does something with the database that an option named.
 * @throws DatabaseRefusedError with a line that names the option if Postgres does not let it in, and
 *   never the URL: there may be a password in it. Otherwise what `work` throws.
 */
export async function withOption<T>(option: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    const advice = typeof code === "string" ? ADVICE.get(code) : undefined;
    if (advice === undefined) throw error;
    throw new DatabaseRefusedError(
      `${option}: Postgres says "${String(message)}" (${String(code)}): ${advice}`,
      { cause: error },
    );
  }
}
