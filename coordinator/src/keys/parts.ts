import type { KeyObject } from "node:crypto";
import type { CoordinatorConfig, SignerCommand } from "../config.js";
import type { Logger } from "pino";
import { systemClock } from "../context.js";
import { readNamedFile } from "../named-file.js";
import type { Stats } from "../stats.js";
import { CommandSigner } from "./command-signer.js";
import { FleetKeys } from "./fleet-keys.js";
import { holdSigner } from "./held-signer.js";
import { createKeySigner, type KeyUse, parsePublicKey, type Signer } from "./signer.js";

/** What this coordinator signs with, and what the fleet goes by. */
export interface Keys {
  goalSigner: Signer;
  /** Undefined without a membership key. */
  membershipSigner: Signer | undefined;
  /** Undefined without a key set. */
  fleetKeys: FleetKeys | undefined;
  /** Ends what signs; what asks for signatures is stopped after it, so as not to wait for them. */
  stop(): Promise<void>;
}

/** @throws Error with a one-line reason if a key or the key set can't be used. */
export async function openKeys(
  config: CoordinatorConfig,
  { log, stats }: { log: Logger; stats: Stats },
): Promise<Keys> {
  const goal = await openSigner("goal", config.goalKeyFile, config.goalSigner);
  const membership = await openSigner(
    "membership",
    config.membershipKeyFile,
    config.membershipSigner,
  );
  if (goal === undefined) throw new Error("there is no goal key");
  const { keySetFile: file, rootPublicKeyFiles: rootFiles = [] } = config;
  const own = { goal: goal.keyId, membership: membership?.keyId };
  const given = await Promise.all(rootFiles.map((one) => readPublicKey("root public key", one)));
  const rootKeys = given.length === 0 ? undefined : given;
  const fleetKeys =
    file === undefined
      ? undefined
      : await FleetKeys.open({ file, rootKeys, own, clock: systemClock, log });
  const hold = (signer: Signer, use: KeyUse): Signer =>
    holdSigner(signer, { use, stats, fault: () => fleetKeys?.faultOf(use) });
  return {
    goalSigner: hold(goal, "goal"),
    membershipSigner: membership && hold(membership, "membership"),
    fleetKeys,
    async stop() {
      for (const signer of [goal, membership]) {
        if (signer instanceof CommandSigner) await signer.stop();
      }
    },
  };
}

async function openSigner(
  use: KeyUse,
  file: string | undefined,
  command: SignerCommand | undefined,
): Promise<Signer | undefined> {
  if (command !== undefined) {
    const publicKey = await readPublicKey(`${use} public key`, command.publicKeyFile);
    return new CommandSigner({ use, publicKey, argv: command.argv });
  }
  return file === undefined
    ? undefined
    : createKeySigner(await readNamedFile(`${use} key`, file), use, file);
}

async function readPublicKey(what: string, file: string): Promise<KeyObject> {
  return parsePublicKey(await readNamedFile(what, file), `${what} ${file}`);
}
