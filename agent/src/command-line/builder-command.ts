import type { Command } from "commander";
import { parseBytes, parseHostPorts, parseInteger, parseName } from "../config.js";
import { may, need, option, parseCount, parseText } from "./option.js";
import {
  type CommonOptions,
  coordinatorCa,
  coordinatorCert,
  coordinatorKey,
  coordinatorTokenFile,
  joinTokenFile,
  logLevel,
  metricsListen,
} from "./shared-options.js";
import type { Commands } from "./commands.js";

interface BuilderOptions extends Omit<CommonOptions, "identity"> {
  slots: number;
  identity?: string;
  joinTokenFile?: string;
  buildUser?: string;
  buildAsRoot?: true | undefined;
  buildCpuSeconds?: number;
  buildMemory?: number;
  buildFileBytes?: number;
  buildProcesses?: number;
}

export function addBuilderCommand(program: Command, commands: Pick<Commands, "builder">): void {
  program
    .command("builder")
    .description("Build commits into artifacts.")
    .addOption(need("--id <name>", "unique among builders", parseName))
    .addOption(
      need(
        "--coordinator <addresses>",
        "coordinators' HOST:PORT, with commas between",
        parseHostPorts,
      ),
    )
    .addOption(need("--blob-store <directory>", "the main blob store"))
    .addOption(need("--data-dir <directory>", "what the agent owns"))
    .addOption(
      may("--slots <number>", "builds at a time", (text) => parseInteger(text, 1, 1_000)).default(
        1,
      ),
    )
    .addOption(may("--identity <file>", "of the fleet's; made with --join-token-file", parseText))
    .addOption(joinTokenFile())
    .addOption(coordinatorCa())
    .addOption(coordinatorTokenFile())
    .addOption(coordinatorCert())
    .addOption(coordinatorKey())
    .addOption(metricsListen())
    .addOption(logLevel())
    .addOption(
      may("--build-user <name>", "whom root runs builds as", parseText).conflicts("buildAsRoot"),
    )
    .addOption(option("--build-as-root", "root runs builds as root"))
    .addOption(
      may("--build-cpu-seconds <number>", "processor time of one process of a build", parseCount),
    )
    .addOption(may("--build-memory <bytes>", "memory of one process of a build", parseBytes))
    .addOption(may("--build-file-bytes <bytes>", "largest file that a build can write", parseBytes))
    .addOption(may("--build-processes <number>", "processes of the builds' user", parseCount))
    .action((options: BuilderOptions) => {
      const { buildUser, buildAsRoot, buildCpuSeconds, buildMemory, ...rest } = options;
      const { buildFileBytes, buildProcesses, identity, ...same } = rest;
      const limits = {
        cpuSeconds: buildCpuSeconds,
        memoryBytes: buildMemory,
        fileBytes: buildFileBytes,
        processes: buildProcesses,
      };
      const confinement = { user: buildUser, asRoot: buildAsRoot === true, limits };
      return commands.builder({ ...same, identityFile: identity, confinement });
    });
}
