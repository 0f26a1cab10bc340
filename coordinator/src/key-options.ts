import type { Command } from "commander";
import type { CoordinatorConfig, SignerCommand } from "./config.js";
import { parseCommand } from "./keys/command-signer.js";
import { option } from "./option.js";

/** What `serve` is told of keys. */
export interface KeyOptions {
  goalKey?: string;
  goalSignerCommand?: string;
  goalPublicKey?: string;
  membershipKey?: string;
  membershipSignerCommand?: string;
  membershipPublicKey?: string;
  keySet?: string;
  rootPublicKey: string[];
}

export function addKeyOptions(command: Command): Command {
  return command
    .addOption(option("--goal-key <file>", "private key that signs goals"))
    .addOption(
      option(
        "--goal-signer-command <argv>",
        "signs goals instead: bytes on stdin, signature on stdout; no shell; with --goal-public-key",
      ),
    )
    .addOption(option("--goal-public-key <file>", "what the command's signatures must fit"))
    .addOption(
      option(
        "--membership-key <file>",
        "private key that signs memberships; none, and no command: nobody can join",
      ),
    )
    .addOption(
      option(
        "--membership-signer-command <argv>",
        "signs memberships instead; with --membership-public-key",
      ),
    )
    .addOption(option("--membership-public-key <file>", "what the command's signatures must fit"))
    .addOption(
      option(
        "--key-set <file>",
        "from keys sign: published to the fleet; read again when it changes",
      ),
    )
    .addOption(
      option("--root-public-key <files>", "with commas between: one must have signed the key set")
        .argParser((text) => text.split(",").map((file) => file.trim()))
        .default([], "the file is believed"),
    );
}

/** @throws Error with a one-line reason. */
export function keyConfig(
  options: KeyOptions,
): Pick<
  CoordinatorConfig,
  | "goalKeyFile"
  | "goalSigner"
  | "membershipKeyFile"
  | "membershipSigner"
  | "keySetFile"
  | "rootPublicKeyFiles"
> {
  return {
    goalKeyFile: options.goalKey,
    goalSigner: signer("goal", options.goalSignerCommand, options.goalPublicKey),
    membershipKeyFile: options.membershipKey,
    membershipSigner: signer(
      "membership",
      options.membershipSignerCommand,
      options.membershipPublicKey,
    ),
    keySetFile: options.keySet,
    rootPublicKeyFiles: options.rootPublicKey,
  };
}

function signer(
  use: string,
  command: string | undefined,
  publicKeyFile: string | undefined,
): SignerCommand | undefined {
  if (command === undefined && publicKeyFile === undefined) return undefined;
  if (command === undefined || publicKeyFile === undefined) {
    throw new Error(`--${use}-signer-command and --${use}-public-key go together`);
  }
  return { argv: parseCommand(command), publicKeyFile };
}
