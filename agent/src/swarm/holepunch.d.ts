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

  export interface Request {
    internal: boolean;
    command: number;
    target: Buffer | null;
    value: Buffer | null;
    from: Node;
  }

  export interface FoundPeer {
    publicKey: Buffer;
    relayAddresses: Node[];
  }

  export default class DHT extends EventEmitter {
    constructor(options: Options);
    static bootstrapper<Made extends DHT, Given extends Options>(
      this: new (options: Given) => Made,
      port: number,
      host: string,
      options: Given,
    ): Made;
    /** Called for each request that comes in. */
    _onrequest(request: Request, external: boolean): void;
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
    /** This side made the connection. */
    isInitiator: boolean;
    /** It is being closed, or is. */
    destroying: boolean;
    rawStream: { remoteHost: string; remotePort: number };
    /** Told how many bytes of a frame are missing, before there is room for it; for old transports. */
    _utp: { setContentSize(bytes: number): void } | null;
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
    /** How long what is left of a handshake is kept, in milliseconds. */
    handshakeClearWait?: number;
  }

  export default class Hyperswarm extends EventEmitter<{ connection: [NoiseStream, PeerInfo] }> {
    constructor(options: Options);
    readonly peers: Map<string, PeerInfo>;
    listen(): Promise<unknown>;
    destroy(options?: { force?: boolean }): Promise<void>;
    /** Called for each connection that somebody else made. */
    _handleServerConnection(stream: NoiseStream): void;
    /** What a look-up calls for each peer that it finds. */
    _handlePeer(
      peer: { publicKey: Buffer; relayAddresses: { host: string; port: number }[] },
      topic: Buffer,
    ): void;
  }
}
