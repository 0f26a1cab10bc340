// The service: says that it is well, which commit it was built from, and serves its assets.
import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";

const version = JSON.parse(readFileSync(new URL("version.json", import.meta.url), "utf8"));

const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  const asset = /^\/assets\/([a-z]+)\.bin$/.exec(path)?.[1];
  if (path === "/healthz") {
    response.end("ok\n");
  } else if (path === "/version") {
    response.setHeader("content-type", "application/json");
    response.end(`${JSON.stringify({ ...version, host: process.env.SLIPWAY_HOST_ID })}\n`);
  } else if (asset !== undefined && asset in version.assets) {
    response.setHeader("content-type", "application/octet-stream");
    const file = createReadStream(new URL(`assets/${asset}.bin`, import.meta.url));
    file.on("error", (error) => response.destroy(error));
    file.pipe(response);
  } else {
    response.statusCode = 404;
    response.end("not found\n");
  }
});

server.listen(Number(process.env.PORT), "127.0.0.1", () =>
  console.log(`serving ${version.commit} on port ${process.env.PORT}`),
);

process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
