import path from "node:path";
import { NAME_PATTERN } from "@slipway/proto";
import { Command, InvalidArgumentError, Option } from "commander";
import { checkSecretOptions } from "./secret-options.js";
import { wholeNumber } from "./whole-number.js";

interface InitOptions {
  out: string;
  name: string[];
  regions: string[];
  ownServers: string[];
  natsDataDir?: string;
  days: number;
}

interface CertificateOptions {
  authority: string;
  out: string;
  name: string[];
  client?: true;
  days: number;
}

const SUMMARY = `
  root.key         signs sets of keys: keep it offline, with ca.key; agents get root.key.pub
  ca.key, ca.crt   sign certificates; everybody trusts ca.crt
  key-set          says which keys hold: coordinators publish it
  goal.key         signs goals: coordinators'; agents get goal.key.pub
  membership.key   signs memberships: coordinators'; agents get membership.key.pub
  server.key, .crt are coordinators', and NATS servers'
  hook.secret      signs notifications: coordinators'
`;

/** `slipway-coordinator init`. What it needs is loaded by none of the others. */
export function initCommand(): Command {
  return new Command("init")
    .description("Makes every key and certificate that a fleet begins with.")
    .addOption(
      new Option("--out <directory>", "must not be there, or be empty").makeOptionMandatory(),
    )
    .addOption(names("of coordinators and NATS servers"))
    .addOption(
      new Option("--regions <names>", "with commas between: makes nats/ for them as well")
        .argParser(parseRegions)
        .default([], "none"),
    )
    .addOption(
      new Option("--own-servers <regions>", "those of them with NATS servers of their own")
        .argParser(parseRegions)
        .default([], "none"),
    )
    .addOption(new Option("--nats-data-dir <directory>", "what NATS servers own"))
    .addOption(days("until the servers' certificate expires; the authority's lasts 10 years"))
    .action(async ({ name, ...options }: InitOptions, command: Command) => {
      const { writeFleetFiles } = await import("./init/write-fleet.js");
      await writeFleetFiles({ ...options, names: name });
      const { out, regions } = options;
      const nats =
        regions.length > 0 ? "  nats/            see slipway-coordinator nats-config\n" : "";
      command.configureOutput().writeOut?.(`${out} has:\n${SUMMARY.slice(1)}${nats}`);
    });
}

/** `slipway-coordinator certificate`. */
export function certificateCommand(): Command {
  return new Command("certificate")
    .description("Makes one more certificate by a fleet's authority, or the next one of a server.")
    .addOption(
      new Option("--authority <directory>", "with ca.key and ca.crt").makeOptionMandatory(),
    )
    .addOption(
      new Option(
        "--out <file>",
        "makes FILE.crt and FILE.key; refused if there",
      ).makeOptionMandatory(),
    )
    .addOption(names("of the server; or the client's"))
    .addOption(new Option("--client", "for who shows it to servers"))
    .addOption(days("until it expires"))
    .action(async ({ name, client, ...same }: CertificateOptions) => {
      const { writeCertificate } = await import("./init/write-fleet.js");
      const use = client === true ? "client" : "server";
      checkSecretOptions({ "--authority": path.join(same.authority, "ca.key") });
      await writeCertificate({ ...same, names: name, use });
    });
}

function names(description: string): Option {
  return new Option("--name <hosts>", `host names and addresses ${description}`)
    .argParser(parseList)
    .makeOptionMandatory();
}

function days(description: string): Option {
  return new Option("--days <number>", description).argParser(wholeNumber(1, 3_650)).default(365);
}

function parseList(text: string): string[] {
  const values = text.split(",").map((value) => value.trim());
  if (values.includes("")) throw new InvalidArgumentError("It must be values with commas between.");
  return values;
}

function parseRegions(text: string): string[] {
  const regions = parseList(text);
  const wrong = regions.find((region) => !NAME_PATTERN.test(region));
  if (wrong === undefined) return regions;
  throw new InvalidArgumentError("They must be lower-case letters, digits and inner hyphens.");
}
