import type { Command } from "commander";
import { need } from "./option.js";
import { type CommonOptions, logLevel } from "./shared-options.js";
import type { Commands } from "./commands.js";

export function addLaunchCommand(program: Command, commands: Pick<Commands, "launch">): void {
  program
    .command("launch")
    .description("Keep an agent running, and let its own releases take its place.")
    .addOption(need("--data-dir <directory>", "the agent's"))
    .addOption(logLevel())
    .argument("<args...>", "behind --: the agent's role and its options")
    .action((args: string[], options: CommonOptions) => commands.launch({ ...options, args }));
}
