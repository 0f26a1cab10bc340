import path from "node:path";
import type { LocalFleet } from "../local-fleet/fleet.js";
import type { Display } from "./display.js";
import { sampleApplication, SAMPLE_APPLICATION } from "./sample-application.js";
import { createSampleRepository, type SampleRepository } from "./sample-repository.js";

/** Prints where everything is and what to try, and waits until the fleet's signal aborts. */
export async function runDev(fleet: LocalFleet, display: Display): Promise<never> {
  const folder = path.join(fleet.dir, "repository");
  const repository = await createSampleRepository(folder, "Serve the catalogue");
  const spec = sampleApplication(repository.path, fleet.regions);
  const signal = fleet.broken;
  await fleet.client.applications.apply({ name: SAMPLE_APPLICATION, spec }, { signal });

  display.heading("Where things are");
  display.line(`coordinator   ${fleet.coordinator}`);
  display.line(`its authority ${fleet.caFile}`);
  display.line(`admin's token ${fleet.adminTokenFile}`);
  display.line(`postgres      ${fleet.postgres.url("slipway")}`);
  display.line(`nats          ${fleet.nats.url}`);
  display.line(`repository    ${repository.path}`);
  display.line(`logs          ${path.join(fleet.dir, "logs")}`);
  for (const { id, url } of fleet.hosts) display.line(`${id.padEnd(13)} ${url}/version`);

  display.heading("In another terminal, in this folder");
  for (const command of commands(fleet, repository)) display.line(command);
  display.heading("Ctrl-C ends the fleet and removes its directory.");
  return untilAborted(signal);
}

/** Each can be pasted as it is, one after the other. */
function commands(fleet: LocalFleet, { path: folder, head }: SampleRepository): string[] {
  return [
    `export SLIPWAY_COORDINATOR=${fleet.coordinator} REPOSITORY=${quoted(folder)}`,
    `export SLIPWAY_CA=${quoted(fleet.caFile)} SLIPWAY_TOKEN_FILE=${quoted(fleet.adminTokenFile)}`,
    "npx slipway whoami",
    "npx slipway hosts",
    submit(head),
    `npx slipway build verify $BUILD --membership-public-key ${quoted(fleet.membershipPublicKeyFile)}`,
    "npx slipway deploy $BUILD --plan",
    "npx slipway deploy $BUILD",
    `npx slipway status ${SAMPLE_APPLICATION}`,
    `curl ${fleet.hosts[0]?.url}/version`,
    "",
    'git -C "$REPOSITORY" commit --allow-empty --message "Another"',
    submit('$(git -C "$REPOSITORY" rev-parse HEAD)'),
    "npx slipway deploy $BUILD",
    `npx slipway rollback ${SAMPLE_APPLICATION}`,
    `npx slipway audit --app ${SAMPLE_APPLICATION}`,
  ];
}

/** Shows the build's progress and keeps its id, which the first line names, for what follows. */
function submit(commit: string): string {
  const command = `npx slipway build submit ${SAMPLE_APPLICATION} ${commit} --wait-deployable`;
  return `BUILD=$(${command} | tee /dev/stderr | awk 'NR == 1 { print $2 }')`;
}

/** For a shell, if it needs that. */
function quoted(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    // Nothing else keeps this process alive: its children do not.
    const alive = setInterval(() => undefined, 60_000);
    const end = (): void => {
      clearInterval(alive);
      reject(signal.reason as Error);
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}
