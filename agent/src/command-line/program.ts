import { Command } from "commander";
import { AGENT_VERSION } from "../version.js";
import { addBuilderCommand } from "./builder-command.js";
import type { Commands } from "./commands.js";
import { addHostCommand } from "./host-command.js";
import { addIdentityCommand } from "./identity-command.js";
import { addLaunchCommand } from "./launch-command.js";
import { addRegionCommand } from "./region-command.js";

/** The agent's command line. Bad options make it throw CommanderError. */
export function createProgram(
  commands: Commands,
  ownEnvironment: Readonly<Record<string, string | undefined>>,
): Command {
  const program = new Command("slipway-agent")
    .description("The agents of Slipway. Every option may also come from SLIPWAY_<ITS_NAME>.")
    .version(AGENT_VERSION)
    .exitOverride();
  addBuilderCommand(program, commands);
  addRegionCommand(program, commands);
  addHostCommand(program, commands, ownEnvironment);
  addLaunchCommand(program, commands);
  addIdentityCommand(program, commands);
  return program;
}
