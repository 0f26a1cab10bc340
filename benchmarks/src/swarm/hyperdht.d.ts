// The parts of HyperDHT 6.34 that are measured; it comes without types.

declare module "hyperdht" {
  import type { Duplex } from "node:stream";

  export interface Address {
    host: string;
    port: number;
  }

  export interface KeyPair {
    publicKey: Buffer;
    secretKey: Buffer;
  }

  export interface Options {
    bootstrap: Address[];
    host: string;
    firewalled: boolean;
  }

  export default class DHT {
    constructor(options: Options);
    static bootstrapper(port: number, host: string, options: { host: string }): DHT;
    static keyPair(): KeyPair;
    ready(): Promise<void>;
    createServer(onConnection: (stream: Duplex) => void): {
      listen(keyPair: KeyPair): Promise<void>;
    };
    connect(publicKey: Buffer): Duplex;
    destroy(options: { force: boolean }): Promise<void>;
  }
}
