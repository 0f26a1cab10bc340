import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a hook was sent. */
interface Received {
  id: string;
  body: string;
  headers: IncomingMessage["headers"];
}

export interface HookServer {
  url: string;
  received: Received[];
  /** How the next requests are answered; what was received last is in `received`. */
  answer(respond: (response: ServerResponse) => void): void;
  close(): Promise<void>;
}

const taken = (response: ServerResponse): void => void response.writeHead(204).end();

/** An HTTP server that takes notifications. */
export async function startHookServer(): Promise<HookServer> {
  const received: Received[] = [];
  let respond = taken;
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => (body += part));
    request.on("end", () => {
      const { id } = JSON.parse(body) as { id: string };
      received.push({ id, body, headers: request.headers });
      respond(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    answer(next) {
      respond = next;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
