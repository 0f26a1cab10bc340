import { readFile } from "node:fs/promises";

/** A text file that an operator named. @throws Error with a one-line reason that says which it is. */
export async function readNamedFile(what: string, file: string): Promise<string> {
  return (await readNamedBytes(what, file)).toString("utf8");
}

/** The same of any file. */
export async function readNamedBytes(what: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Error(`the ${what} ${file} cannot be read: ${reason}`, { cause: error });
  }
}
