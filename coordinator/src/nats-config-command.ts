import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { parseListenAddress } from "./config.js";
import { writeNatsConfig } from "./nats-access/write-nats-config.js";
import { writeNatsUser } from "./nats-access/write-nats-user.js";
import { checkSecretOptions } from "./secret-options.js";
import { wholeNumber } from "./whole-number.js";

interface Options {
  out: string;
  regions: string[];
  ownServers: string[];
  listen: string;
  dataDir: string;
  tlsCert?: string;
  tlsKey?: string;
  days: number;
  renew: string[];
  forgetPrevious?: true;
}

interface UserOptions {
  issuer: string;
  id: string;
  region: string;
  role: "host" | "region";
  out: string;
  days: number;
}

const DAY_MS = 86_400_000;

/** `slipway-coordinator nats-config`. */
export function natsConfigCommand(): Command {
  return new Command("nats-config")
    .description("Makes the keys, users and nats-server configurations of a fleet, or renews them.")
    .addOption(new Option("--out <directory>", "what is there stays").makeOptionMandatory())
    .addOption(list("--regions <names>", "with commas between").makeOptionMandatory())
    .addOption(
      list("--own-servers <names>", "regions that do not share the global server").default(
        [],
        "none",
      ),
    )
    .addOption(
      new Option("--listen <host:port>", "where servers listen")
        .argParser(parseListen)
        .default("0.0.0.0:4222"),
    )
    .addOption(
      new Option("--data-dir <directory>", "where each server has a folder").default(
        "/var/lib/nats",
      ),
    )
    .addOption(new Option("--tls-cert <file>", "PEM, where servers find it; with --tls-key"))
    .addOption(new Option("--tls-key <file>", "PEM, where servers find it"))
    .addOption(
      new Option("--days <number>", "until users in files expire")
        .argParser(wholeNumber(1, 36_500))
        .default(365),
    )
    .addOption(
      list(
        "--renew <names>",
        "coordinator, system, region-NAME: users; issuer, operator: keys that sign",
      ).default([], "nothing"),
    )
    .addOption(
      new Option("--forget-previous", "keys that signed before the last renewal sign no more"),
    )
    .action(async ({ tlsCert, tlsKey, forgetPrevious, ...options }: Options) => {
      if ((tlsCert === undefined) !== (tlsKey === undefined)) {
        throw new CommanderError(2, "slipway.usage", "--tls-cert and --tls-key go together");
      }
      const tls =
        tlsCert === undefined || tlsKey === undefined
          ? undefined
          : { certFile: tlsCert, keyFile: tlsKey };
      await writeNatsConfig({ ...options, tls, forgetPrevious: forgetPrevious === true });
    });
}

/** `slipway-coordinator nats-user`. */
export function natsUserCommand(): Command {
  return new Command("nats-user")
    .description(
      "Makes NATS credentials for an agent that does not join: a file like nats-config's.",
    )
    .addOption(new Option("--issuer <file>", "issuer.json, from nats-config").makeOptionMandatory())
    .addOption(new Option("--id <name>", "of the agent").makeOptionMandatory())
    .addOption(new Option("--region <name>", "the agent's region").makeOptionMandatory())
    .addOption(
      new Option("--role <role>", "what the agent is")
        .choices(["host", "region"])
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        "--out <file>",
        "for its region's NATS; a region agent's for the global one is FILE.global",
      ).makeOptionMandatory(),
    )
    .addOption(
      new Option("--days <number>", "until they expire")
        .argParser(wholeNumber(1, 36_500))
        .default(365),
    )
    .action(async ({ days, ...options }: UserOptions) => {
      checkSecretOptions({ "--issuer": options.issuer });
      await writeNatsUser({ ...options, expireTime: new Date(Date.now() + days * DAY_MS) });
    });
}

function list(flags: string, description: string): Option {
  return new Option(flags, description).argParser(parseList);
}

function parseList(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

function parseListen(text: string): string {
  try {
    parseListenAddress(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
