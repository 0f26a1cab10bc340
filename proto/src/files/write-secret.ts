import { open, unlink } from "node:fs/promises";

/**
 * Writes what is made to a new file, for its owner only. Nothing is made if there can be no such file:
 * a secret that nobody was given would be good all the same. The file is taken away if nothing is made.
 * @throws Error with a one-line reason
 */
export async function writeSecret(file: string, make: () => Promise<string>): Promise<void> {
  const handle = await open(file, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    const reason =
      error.code === "EEXIST" ? "is there already; name another file" : "cannot be written";
    throw new Error(`${file} ${reason} (${error.code ?? error.message})`, { cause: error });
  });
  try {
    await handle.writeFile(await make());
  } catch (error) {
    await unlink(file);
    throw error;
  } finally {
    await handle.close();
  }
}
