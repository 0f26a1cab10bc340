import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { PROTO_DIRECTORY, SERVICE_FILES } from "@slipway/proto";

interface Descriptor {
  field: { name: string; label: string; type: string; typeName: string }[];
  nestedType: Descriptor[];
  options: { mapEntry?: boolean } | null;
  name: string;
}
type Call = {
  write(message: object): void;
  end(): void;
  emit(event: "error", error: object): void;
};

/** What the server says, wherever a string can be. */
export interface Hostility {
  text: string;
  /** Where another value than 1 leads to more being shown. */
  enums: Readonly<Record<string, number>>;
  /** Every call is refused, with the text as the reason. */
  refuses?: boolean;
}

/** A coordinator that was broken into: every string of every answer is the text. */
export async function startHostileServer(
  hostility: Hostility,
): Promise<{ address: string; stop: () => void }> {
  const definitions = loadSync([...SERVICE_FILES], { includeDirs: [PROTO_DIRECTORY] });
  const typeOf = (name: string): Descriptor =>
    (
      definitions[`slipway.v1.${name.replace("slipway.v1.", "")}`] as unknown as {
        type: Descriptor;
      }
    ).type;
  const server = new Server();
  for (const [service, definition] of Object.entries(definitions)) {
    if (!service.endsWith("Service")) continue;
    const methods = Object.entries(definition).map(([name, { responseType, responseStream }]) => {
      const { type } = responseType as unknown as { type: Descriptor };
      const answer = filled(type, typeOf, hostility);
      const refusal = {
        code: status.FAILED_PRECONDITION,
        details: hostility.text,
        metadata: new Metadata(),
      };
      if (responseStream === true) {
        const stream = (call: Call): void => {
          if (hostility.refuses === true) {
            call.emit("error", refusal);
            return;
          }
          call.write(answer);
          call.end();
        };
        return [name, stream] as const;
      }
      const unary = (_: unknown, callback: (error: object | null, value?: object) => void): void =>
        hostility.refuses === true ? callback(refusal) : callback(null, answer);
      return [name, unary] as const;
    });
    server.addService(definition as never, Object.fromEntries(methods));
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { address: `127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}

/** A message with something in every field. */
function filled(
  type: Descriptor,
  typeOf: (name: string) => Descriptor,
  hostility: Hostility,
): Record<string, unknown> {
  // Of what a watch tells it is the build: log lines go to a pipe as they are.
  const told = type.name === "WatchBuildResponse" ? type.field.slice(0, 1) : type.field;
  const fields = told.map(({ name, label, type: kind, typeName }) => {
    const nested = type.nestedType.find((each) => each.name === typeName);
    if (nested?.options?.mapEntry === true) {
      const [, held] = nested.field;
      const value = held === undefined ? undefined : valueOf(held, typeOf, hostility);
      return [name, Object.fromEntries([[hostility.text, value]])] as const;
    }
    const value =
      nested === undefined
        ? valueOf({ type: kind, typeName }, typeOf, hostility)
        : filled(nested, typeOf, hostility);
    // Of one with pages there is one page.
    if (name === "nextPageToken") return [name, ""] as const;
    return [name, label === "LABEL_REPEATED" ? [value] : value] as const;
  });
  return Object.fromEntries(fields);
}

function valueOf(
  { type, typeName }: { type: string; typeName: string },
  typeOf: (name: string) => Descriptor,
  hostility: Hostility,
): unknown {
  switch (type) {
    case "TYPE_STRING":
      return hostility.text;
    case "TYPE_BYTES":
      return Buffer.from(hostility.text);
    case "TYPE_BOOL":
      return true;
    case "TYPE_ENUM":
      return hostility.enums[typeName] ?? 1;
    case "TYPE_MESSAGE":
      if (typeName.endsWith("Timestamp")) return { seconds: 1_800_000_000 };
      if (typeName.endsWith("Duration")) return { seconds: 60 };
      return filled(typeOf(typeName), typeOf, hostility);
    default:
      return 1;
  }
}
