import { fileURLToPath } from "node:url";

/** Folder that holds the .proto files: the include path for proto-loader and other tools. */
export const PROTO_DIRECTORY = fileURLToPath(new URL("../../", import.meta.url));

/** The files that define services, relative to PROTO_DIRECTORY. */
export const SERVICE_FILES: readonly string[] = [
  "slipway/v1/application.proto",
  "slipway/v1/audit.proto",
  "slipway/v1/build.proto",
  "slipway/v1/builder.proto",
  "slipway/v1/deployment.proto",
  "slipway/v1/fleet.proto",
  "slipway/v1/freeze.proto",
  "slipway/v1/membership.proto",
  "slipway/v1/replication.proto",
  "slipway/v1/token.proto",
];
