import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { freePort } from "@slipway/examples/servers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writeIdentity } from "../../src/swarm/identity-file.js";
import { temporaryDirectory } from "../store/fixtures.js";
import type { FetcherConfig } from "./fetcher.js";
import { type Member, Region, fetchAll, seed, until } from "./fixtures.js";
import type { NeighbourConfig } from "./neighbour-process.js";

const test = suite<{ region: Region; cleanUp: (() => Promise<void> | void)[] }>("mesh losses");
test.before.each((context) => {
  context.region = new Region();
  context.cleanUp = [() => context.region.close()];
});
test.after.each(async ({ cleanUp }) => {
  for (const act of cleanUp.toReversed()) await act();
});

const slowly = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 25));
const replaced = (host: Member): boolean => home(host) >= 8 && home(host) <= 9;
const home = ({ swarm }: Member): number => swarm.stats.homeNeighbours;

test("neighbours killed with kill -9 are noticed and replaced within seconds", async ({
  region,
  cleanUp,
}) => {
  await region.join("region");
  const hosts = await Promise.all(Array.from({ length: 10 }, () => region.join("host")));
  const killed = await Promise.all(
    ["k1", "k2", "k3"].map((id) => startHost(region, cleanUp, id, "neighbour-process.ts")),
  );
  await until(() => hosts.every((host) => home(host) >= 8), "eight neighbours each");
  const all = (): number => hosts.reduce((sum, host) => sum + home(host), 0);
  await until(() => all() > 90, "links with those in other processes");
  for (const child of killed) child.kill("SIGKILL");
  const died = Date.now();
  await until(() => hosts.every(replaced), "eight of the nine that live", 30_000);
  await until(() => all() <= 90, "no dead ones");
  assert.ok(Date.now() - died < 20_000, `${Date.now() - died} ms`);
});

test("a data connection that ends is a hint: its process is missed sooner", async ({
  region,
  cleanUp,
}) => {
  const seeder = await region.join("region", { tamper: slowly });
  const { digest } = await seed(seeder, 2_000, 4_096);
  const child = await startHost(region, cleanUp, "k1", "fetcher.ts", { digest });
  await until(() => seeder.swarm.stats.bytesSent > 0, "chunks on their way");
  child.kill("SIGKILL");
  const died = Date.now();
  await until(() => seeder.swarm.stats.neighbours === 0, "its end to be noticed");
  // Without the hint the control stream's time-out is all there is: 8 s.
  assert.ok(Date.now() - died < 6_500, `${Date.now() - died} ms`);
});

test("a neighbour whose data connections end but that lives is kept", async ({ region }) => {
  const seeder = await region.join("region");
  const host = await region.join("host");
  await until(() => host.swarm.stats.neighbours === 1, "the seeder");
  const first = await seed(seeder, 3);
  await fetchAll(host, first.digest);
  // One that came and went: each closes the other's data connections.
  const late = await region.join("host");
  await fetchAll(late, first.digest);
  await late.swarm.close();
  const second = await seed(seeder, 3);
  await fetchAll(host, second.digest);
  assert.is(host.swarm.stats.seederNeighbours, 1);
  assert.is(host.swarm.stats.fallbackChunks, 0);
});

test("who has too few neighbours finds a newcomer within about a second", async ({ region }) => {
  await region.join("region");
  const host = await region.join("host");
  await until(() => host.swarm.stats.seederNeighbours === 1, "the seeder");
  const started = Date.now();
  const late = await region.join("host");
  await until(() => home(host) === 1 && home(late) === 1, "each other");
  assert.ok(Date.now() - started < 4_000, `${Date.now() - started} ms`);
});

test("a certificate that expires ends its connections, for good", async ({ region }) => {
  const seeder = await region.join("region");
  const identity = region.identity("short", "host", new Date(Date.now() + 4_000));
  const host = await region.join("host", { identity });
  await until(() => seeder.swarm.stats.neighbours === 1, "the host");
  await until(() => seeder.swarm.stats.neighbours === 0, "its end");
  assert.ok(seeder.swarm.stats.membershipRefusals >= 1, "counted as refused");
  const refused = seeder.swarm.stats.membershipRefusals;
  await until(() => seeder.swarm.stats.membershipRefusals > refused, "it to try again in vain");
  assert.is(seeder.swarm.stats.neighbours, 0);
  // It hears the seeder's hello before it is refused.
  await until(() => host.swarm.stats.neighbours === 0, "the host to be alone");
});

/** Resolves when it said its first line. */
async function startHost(
  region: Region,
  cleanUp: (() => Promise<void> | void)[],
  id: string,
  file: string,
  more?: Pick<FetcherConfig, "digest">,
): Promise<ChildProcess> {
  const { dir, remove } = await temporaryDirectory();
  cleanUp.push(remove);
  const identityFile = path.join(dir, "identity.json");
  await writeIdentity(identityFile, region.identity(id, "host"));
  const config: NeighbourConfig & { dir: string } = {
    identityFile,
    membershipPublicKey: region.membership.publicKey
      .export({ type: "spki", format: "pem" })
      .toString(),
    cell: "c1",
    listen: { host: "127.0.0.1", port: await freePort() },
    bootstrap: region.bootstrap,
    dir,
    ...more,
  };
  const configFile = path.join(dir, "config.json");
  await writeFile(configFile, JSON.stringify(config));
  const program = fileURLToPath(new URL(`./${file}`, import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program, configFile], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  cleanUp.push(() => void child.kill("SIGKILL"));
  if (child.stdout === null) throw new Error("no output");
  await once(child.stdout, "data");
  return child;
}

test.run();
