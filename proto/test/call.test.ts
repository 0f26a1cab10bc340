import { credentials, Server, ServerCredentials, status, type ServiceError } from "@grpc/grpc-js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  ApplicationServiceClient,
  type ApplicationServiceServer,
  ApplicationServiceService,
} from "../gen/slipway/v1/application.js";
import { unary } from "../src/call.js";

const calls = suite<{ server: Server; client: ApplicationServiceClient; cancelled: Promise<void> }>(
  "unary",
);

calls.before(async (context) => {
  context.server = new Server();
  let sawCancel: () => void;
  context.cancelled = new Promise((resolve) => (sawCancel = resolve));
  const implementation: ApplicationServiceServer = {
    getApplication: (call, callback) => {
      if (call.request.name === "silent") call.on("cancelled", () => sawCancel());
      else callback({ code: status.NOT_FOUND, details: `no application ${call.request.name}` });
    },
    listApplications: (_call, callback) => callback(null, { applications: [], nextPageToken: "" }),
    applyApplication: (_call, callback) => callback({ code: status.UNIMPLEMENTED }),
    removeApplication: (_call, callback) => callback({ code: status.UNIMPLEMENTED }),
  };
  context.server.addService(ApplicationServiceService, implementation);
  const port = await new Promise<number>((resolve, reject) =>
    context.server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  context.client = new ApplicationServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
});

calls.after(({ server, client }) => {
  client.close();
  server.forceShutdown();
});

calls("answers", async ({ client }) => {
  const request = { pageSize: 0, pageToken: "", includeRemoved: false };
  const response = await unary(client, "listApplications", request, { timeoutMs: 5000 });
  assert.equal(response.applications, []);
});

calls("rejects with the status", async ({ client }) => {
  const error = await rejection(
    unary(client, "getApplication", { name: "x", revision: 0 }, { timeoutMs: 5000 }),
  );
  assert.is((error as ServiceError).code, status.NOT_FOUND);
});

calls("rejects at its deadline", async ({ client }) => {
  const request = { name: "silent", revision: 0 };
  const error = await rejection(unary(client, "getApplication", request, { timeoutMs: 50 }));
  assert.is((error as ServiceError).code, status.DEADLINE_EXCEEDED);
});

calls("rejects with the signal's reason, and the server sees it", async ({ client, cancelled }) => {
  const controller = new AbortController();
  const pending = rejection(
    unary(
      client,
      "getApplication",
      { name: "silent", revision: 0 },
      { timeoutMs: 5000, signal: controller.signal },
    ),
  );
  const reason = new Error("enough");
  controller.abort(reason);
  assert.is(await pending, reason);
  await cancelled;
  assert.is(
    await rejection(
      unary(
        client,
        "getApplication",
        { name: "x", revision: 0 },
        { timeoutMs: 5000, signal: controller.signal },
      ),
    ),
    reason,
  );
});

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.unreachable("should have been rejected");
}

calls.run();
