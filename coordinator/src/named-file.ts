import { readFile } from "node:fs/promises";

/** A text file that an operator named. @throws Error with a one-line reason that says which it is. */
export async function readNamedFile(what: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Error(`the ${what} ${file} cannot be read: ${reason}`, { cause: error });
  }
}
