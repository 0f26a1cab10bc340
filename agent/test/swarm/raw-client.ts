import type { Duplex } from "node:stream";
import { freePort } from "@slipway/examples/servers";
import { MembershipCertificate, rawPublicKey, SWARM_PROTOCOL_VERSION } from "@slipway/proto";
import { ADMISSION_LIMITS } from "../../src/swarm/admission-limits.js";
import { Discovery, cellTopic } from "../../src/swarm/discovery.js";
import { encodeControl } from "../../src/swarm/frames.js";
import type { Identity } from "../../src/swarm/index.js";
import { type Region, log, until } from "./fixtures.js";

export interface RawClient {
  /** The next connection with the target; made again when one is closed. */
  connection: () => Promise<Duplex>;
  close: () => Promise<void>;
}

/** A member that says whatever it is told to, and connects with the seeder unless another is given. */
export async function rawClient(
  region: Region,
  identity: Identity,
  target = region.seederKey,
  announce = true,
): Promise<RawClient> {
  const connections: Duplex[] = [];
  const discovery = new Discovery({
    keyPair: { publicKey: identity.publicKey, secretKey: identity.secretKey },
    listen: { host: "127.0.0.1", port: await freePort() },
    bootstrap: region.bootstrap,
    runBootstrap: false,
    topics: (cell) => [cellTopic(rawPublicKey(region.membership.publicKey), "eu", cell)],
    log,
    admission: ADMISSION_LIMITS,
    onRefused: () => {},
    mood: () => "soon",
    onFound: (candidate) => {
      if (candidate.publicKey.equals(target)) discovery.dial(candidate);
    },
    onConnection: (stream: Duplex & { remotePublicKey: Buffer }) => {
      stream.on("error", () => {});
      stream.resume();
      if (stream.remotePublicKey.equals(target)) connections.push(stream);
    },
  });
  await discovery.start();
  discovery.join("c1", { announce });
  return {
    connection: async () => {
      let connection: Duplex | undefined;
      // Where both ends dialled at once, one of the two connections is closed again.
      const found = (): boolean => {
        connection = connections.shift();
        return connection?.destroyed === false;
      };
      await until(found, "a connection");
      return connection as unknown as Duplex;
    },
    close: () => discovery.close(),
  };
}

export function helloOf(identity: Identity): Buffer {
  return encodeControl({
    $case: "hello",
    value: {
      protocolVersion: SWARM_PROTOCOL_VERSION,
      certificate: MembershipCertificate.decode(identity.certificate),
      processNonce: Buffer.from("hostile"),
      cell: "c1",
      neighbours: 0,
    },
  });
}
