// The parts of Hyperswarm 4.17 and HyperDHT 6.34 that discovery uses; they come without types.

declare module "hyperdht" {
  import type { EventEmitter } from "node:events";

  export interface Node {
    host: string;
    port: number;
  }

  export interface Options {
    bootstrap?: Node[];
    firewalled?: boolean;
    ephemeral?: boolean;
    host?: string;
    port?: number;
    anyPort?: boolean;
  }

  export interface FoundPeer {
    publicKey: Buffer;
    relayAddresses: Node[];
  }

  export default class DHT extends EventEmitter {
    constructor(options: Options);
    static bootstrapper(port: number, host: string, options: Options): DHT;
    bootstrapNodes: Node[];
    readonly io: { networkInterfaces: { destroy(): void } };
    bind(): Promise<void>;
    ping(node: Node, options: { retry: boolean }): Promise<unknown>;
    announce(
      topic: Buffer,
      keyPair: { publicKey: Buffer; secretKey: Buffer },
      relayAddresses: Node[],
      options: { closestNodes: Node[]; onlyClosestNodes: boolean },
    ): AsyncIterable<{ peers: FoundPeer[] }>;
    lookup(
      topic: Buffer,
      options: { closestNodes: Node[]; onlyClosestNodes: boolean },
    ): AsyncIterable<{ peers: FoundPeer[] }>;
    unannounce(
      topic: Buffer,
      keyPair: { publicKey: Buffer; secretKey: Buffer },
      options: { closestNodes: Node[]; onlyClosestNodes: boolean },
    ): Promise<unknown>;
    destroy(options?: { force?: boolean }): Promise<void>;
  }
}

declare module "hyperswarm" {
  import type { EventEmitter } from "node:events";
  import type { Duplex } from "node:stream";
  import type DHT from "hyperdht";
  import type { FoundPeer } from "hyperdht";

  export interface NoiseStream extends Duplex {
    remotePublicKey: Buffer;
    rawStream: { remoteHost: string; remotePort: number };
    setKeepAlive(ms: number): void;
    setTimeout(ms: number): void;
  }

  export interface PeerInfo {
    publicKey: Buffer;
    ban(banned: boolean): void;
  }

  export interface Options {
    dht: DHT;
    keyPair: { publicKey: Buffer; secretKey: Buffer };
    maxPeers: number;
    maxParallel: number;
    maxServerConnections?: number;
  }

  export default class Hyperswarm extends EventEmitter<{ connection: [NoiseStream, PeerInfo] }> {
    constructor(options: Options);
    readonly peers: Map<string, PeerInfo>;
    listen(): Promise<unknown>;
    destroy(options?: { force?: boolean }): Promise<void>;
    /** What a look-up calls for each peer that it finds. */
    _handlePeer(
      peer: { publicKey: Buffer; relayAddresses: { host: string; port: number }[] },
      topic: Buffer,
    ): void;
  }
}
