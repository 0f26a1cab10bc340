import { MEMBER_ROLES } from "@slipway/proto";
import type { Command } from "commander";
import { type IdentityConfig, parseInteger, parseName } from "../config.js";
import { may, need, option } from "./option.js";
import type { Commands } from "./commands.js";

type IdentityOptions = Omit<IdentityConfig, "membershipKeyFile" | "region"> & {
  region?: string;
  membershipKey: string;
};

export function addIdentityCommand(program: Command, commands: Pick<Commands, "identity">): void {
  program
    .command("identity")
    .description("Make a key pair and the fleet's certificate for it.")
    .addOption(need("--id <name>", "of the agent", parseName))
    .addOption(may("--region <name>", "the agent's region; none for a builder", parseName))
    .addOption(
      option("--role <role>", "what the agent is")
        .choices(Object.keys(MEMBER_ROLES))
        .makeOptionMandatory(),
    )
    .addOption(need("--membership-key <file>", "private key, PKCS#8 PEM"))
    .addOption(need("--out <file>", "what to write; must not exist"))
    .addOption(
      may("--days <number>", "until it expires", (text) => parseInteger(text, 1, 36_500)).default(
        365,
      ),
    )
    .action(({ membershipKey, region = "", ...same }: IdentityOptions, command: Command) => {
      if (same.role === "builder" && region !== "") command.error("A builder is of no region.");
      if (same.role !== "builder" && region === "") command.error("Say of which --region it is.");
      return commands.identity({ ...same, region, membershipKeyFile: membershipKey });
    });
}
