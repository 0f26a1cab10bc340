import { loadSync } from "@grpc/proto-loader";
import { PROTO_DIRECTORY, SERVICE_FILES } from "@slipway/proto";

/** One string in a method's request. */
export interface StringField {
  /** Such as "/slipway.v1.BuildService/SubmitBuild". */
  method: string;
  requestStream: boolean;
  responseStream: boolean;
  /** As "spec.run.environment{key}" or "hosts[].cell". */
  name: string;
  /** The bytes of a request that has the value there, and else what the base says. */
  encode(base: object, value: string): Buffer;
}

interface Descriptor {
  field: { name: string; label: string; type: string; typeName: string }[];
  nestedType: Descriptor[];
  oneofDecl: { name: string }[];
  options: { mapEntry?: boolean } | null;
  name: string;
}
type Message = Record<string, unknown>;
/** Puts a value into a message. */
type Put = (message: Message, value: string) => void;

const PACKAGE = "slipway.v1.";

/** Every string in every request of every service, also deep within. */
export function stringFields(): StringField[] {
  const definitions = loadSync([...SERVICE_FILES], { includeDirs: [PROTO_DIRECTORY] });
  const typeOf = (name: string): Descriptor =>
    (definitions[`${PACKAGE}${name.replace(PACKAGE, "")}`] as unknown as { type: Descriptor }).type;
  return Object.entries(definitions)
    .filter(([name]) => name.endsWith("Service"))
    .flatMap(([, service]) => Object.values(service))
    .flatMap(({ path: method, requestStream, responseStream, requestType, requestSerialize }) =>
      puts((requestType as { type: Descriptor }).type, typeOf).map(({ name, put }) => ({
        method,
        requestStream,
        responseStream,
        name,
        encode(base: object, value: string) {
          const request = structuredClone(base) as Message;
          put(request, value);
          return requestSerialize(request) as Buffer;
        },
      })),
    );
}

function puts(
  type: Descriptor,
  typeOf: (name: string) => Descriptor,
): { name: string; put: Put }[] {
  const exclusive = type.oneofDecl.some(({ name }) => !name.startsWith("_"));
  return type.field.flatMap((field) => {
    const { name, label, type: kind, typeName } = field;
    /** Makes room for the field, and takes away what excludes it. */
    const clear = (message: Message): void => {
      if (!exclusive) return;
      for (const other of type.field) if (other.name !== name) delete message[other.name];
    };
    const nested = type.nestedType.find((each) => each.name === typeName);
    if (nested?.options?.mapEntry === true) return inMap(name, nested, typeOf);
    if (kind === "TYPE_STRING") {
      const put: Put = (message, value) => {
        clear(message);
        message[name] = label === "LABEL_REPEATED" ? [value] : value;
      };
      return [{ name: label === "LABEL_REPEATED" ? `${name}[]` : name, put }];
    }
    if (kind !== "TYPE_MESSAGE" || typeName.startsWith("google.")) return [];
    return puts(nested ?? typeOf(typeName), typeOf).map((inner) => {
      const put: Put = (message, value) => {
        clear(message);
        const there = message[name];
        const inside = ((Array.isArray(there) ? there[0] : there) ?? {}) as Message;
        inner.put(inside, value);
        message[name] = label === "LABEL_REPEATED" ? [inside] : inside;
      };
      return { name: `${name}${label === "LABEL_REPEATED" ? "[]" : ""}.${inner.name}`, put };
    });
  });
}

/** With a property of its own, also where the key is "__proto__". */
const single = (key: string, held: unknown): object => Object.fromEntries([[key, held]]);

function inMap(
  name: string,
  { field: [, value] }: Descriptor,
  typeOf: (name: string) => Descriptor,
): { name: string; put: Put }[] {
  const key: Put = (message, text) => {
    const held = value?.type === "TYPE_STRING" ? "x" : {};
    message[name] = single(text, held);
  };
  const keys = [{ name: `${name}{key}`, put: key }];
  if (value?.type === "TYPE_STRING") {
    const put: Put = (message, text) => void (message[name] = single("NAME", text));
    return [...keys, { name: `${name}{value}`, put }];
  }
  const inner = puts(typeOf(value?.typeName ?? ""), typeOf).map((each) => {
    const put: Put = (message, text) => {
      const held = {};
      each.put(held, text);
      message[name] = single("NAME", held);
    };
    return { name: `${name}{value}.${each.name}`, put };
  });
  return [...keys, ...inner];
}
