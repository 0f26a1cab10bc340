import type { Socket } from "node:net";
import { connect } from "nats";
import { NodeTransport } from "nats/lib/src/node_transport.js";

/** What of the library's transport is mended here; a test against a server that hangs watches it. */
interface Internals {
  connected: boolean;
  done: boolean;
  socket: Socket | undefined;
  dial: (this: Internals, to: { hostname: string; port: number }) => Promise<Socket>;
  _closed: (this: Internals, error?: Error, internal?: boolean) => Promise<void>;
}

const transport = NodeTransport.prototype as unknown as Internals;
const { dial, _closed: close } = transport;

/**
 * The library gives a server up that does not answer in time, and leaves the socket to it: closing a
 * transport that is not connected yet does nothing. A server that hung answers all of those sockets when
 * it goes on. Each is taken for the client's, and when the server closes it, because nobody said who is
 * there, the client connects once more beside the connection that it has, and reads both as one: what
 * comes then is cut in pieces, until the process is started again.
 */
const mended: Pick<Internals, "dial" | "_closed"> = {
  async dial(to) {
    const socket = await dial.call(this, to);
    if (!this.done) return socket;
    socket.destroy();
    throw new Error(`${to.hostname}:${to.port} took too long to connect`);
  },
  _closed(error, internal) {
    if (this.connected) return close.call(this, error, internal);
    this.done = true;
    this.socket?.destroy();
    return Promise.resolve();
  },
};
Object.assign(transport, mended);

/** As nats has it, but that no connection outlives the client's patience with it. */
export { connect };
