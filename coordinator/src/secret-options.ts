import process from "node:process";
import { checkSecretFiles } from "@slipway/proto/files";

/** What a command of an operator's reads and others may not. @throws SecretFileError */
export function checkSecretOptions(files: Readonly<Record<string, string | undefined>>): void {
  for (const warning of checkSecretFiles(files)) process.stderr.write(`warning: ${warning}\n`);
}
