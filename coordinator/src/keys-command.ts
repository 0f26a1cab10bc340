import { Command, InvalidArgumentError, Option } from "commander";
import { describeKeySet } from "./keys/describe-key-set.js";
import { type NamedKey, parseNamedKey, readKeySet, writeKeySet } from "./keys/key-set-file.js";
import { checkSecretOptions } from "./secret-options.js";

interface SignOptions {
  rootKey: string[];
  goalKey: NamedKey[];
  membershipKey: NamedKey[];
  revokeKey: string[];
  version: number;
  out: string;
}

/** `slipway-coordinator keys`: what the root key is for, where it is kept. */
export function keysCommand(): Command {
  const group = new Command("keys").description("Says which keys a fleet goes by: key sets.");
  group.addCommand(sign());
  group.addCommand(show());
  return group;
}

function sign(): Command {
  return new Command("sign")
    .description("Signs a key set, for --key-set of coordinators. Options may be given again.")
    .addOption(files("--root-key <file>", "private key that signs it").makeOptionMandatory())
    .addOption(keys("--goal-key <file[@end]>", "public key, and until when what it signs holds"))
    .addOption(keys("--membership-key <file[@end]>", "the same, of memberships"))
    .addOption(
      files(
        "--revoke-key <id|file>",
        "key that holds nowhere any more, or its public half",
      ).default([], "none"),
    )
    .addOption(
      new Option("--version <number>", "above that of every set before")
        .argParser(parseVersion)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--out <file>", "may hold a set of a lower version").makeOptionMandatory(),
    )
    .action(async (options: SignOptions, command: Command) => {
      const now = Date.now();
      for (const file of options.rootKey) checkSecretOptions({ "--root-key": file });
      const set = await writeKeySet(
        {
          rootKeys: options.rootKey,
          goalKeys: options.goalKey,
          membershipKeys: options.membershipKey,
          revoked: options.revokeKey,
          version: options.version,
          out: options.out,
        },
        now,
      );
      command.configureOutput().writeOut?.(describeKeySet(set, now));
    });
}

function show(): Command {
  return new Command("show")
    .description("Prints a key set: its version, keys by their ids, and when they end.")
    .argument("<file>")
    .option("--root-public-key <file>", "must have signed it; none: the signature is not checked")
    .action(
      async (file: string, { rootPublicKey }: { rootPublicKey?: string }, command: Command) => {
        const set = await readKeySet(file, rootPublicKey);
        command.configureOutput().writeOut?.(describeKeySet(set, Date.now()));
      },
    );
}

function files(flags: string, description: string): Option {
  return new Option(flags, description).argParser((file: string, before: string[] | undefined) => [
    ...(before ?? []),
    file,
  ]);
}

function keys(flags: string, description: string): Option {
  return new Option(flags, description)
    .argParser((text: string, before: NamedKey[] | undefined) => {
      try {
        return [...(before ?? []), parseNamedKey(text)];
      } catch (error) {
        throw new InvalidArgumentError((error as Error).message);
      }
    })
    .makeOptionMandatory();
}

function parseVersion(text: string): number {
  const version = Number(text);
  if (/^\d{1,15}$/.test(text) && version >= 1) return version;
  throw new InvalidArgumentError("It must be a whole number from 1 on.");
}
