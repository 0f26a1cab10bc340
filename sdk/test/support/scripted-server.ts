import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import * as proto from "@slipway/proto";
import {
  ApplicationServiceService,
  AuditServiceService,
  BuildServiceService,
  DeploymentServiceService,
  FleetServiceService,
  FreezeServiceService,
  MembershipServiceService,
  ReplicationServiceService,
  setErrorDetails,
  TokenServiceService,
  type FieldViolation,
} from "@slipway/proto";

/** What a test's coordinator answers to a call, or throws. */
type Answer = (request: never, call: Call) => unknown;
/** A stream that is open. */
export interface OpenCall {
  request: Record<string, unknown>;
  call: ServerWritableStream<never, unknown>;
  /** Sends a message, of which what is left out has its default. */
  send: (message: object) => boolean;
}
/** What it does with a stream. */
export type Stream = (open: OpenCall) => void | Promise<void>;
type Call = ServerUnaryCall<unknown, unknown>;

export interface Script {
  unary?: Record<string, Answer>;
  streams?: Record<string, Stream>;
}

/** An error that a coordinator answers with. */
export class Refusal extends Error {
  readonly code: status;
  readonly metadata = new Metadata();
  readonly details: string;
  constructor(code: status, details: string, reason = "", violations: FieldViolation[] = []) {
    super(details);
    this.code = code;
    this.details = details;
    setErrorDetails(this.metadata, code, details, { reason, violations });
  }
}

/** A coordinator without a fleet: a real gRPC server whose behaviour is a test's script. */
export class ScriptedServer {
  script: Script;
  /** Method names in the order in which they were called. */
  readonly calls: string[] = [];
  readonly requests: { method: string; request: Record<string, unknown>; metadata: Metadata }[] =
    [];
  port = 0;
  #server: Server | undefined;

  readonly #credentials: ServerCredentials;

  constructor(script: Script, credentials = ServerCredentials.createInsecure()) {
    this.script = script;
    this.#credentials = credentials;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Listens, on the same port as before if it did before. */
  async start(): Promise<this> {
    const server = new Server();
    for (const service of [
      ApplicationServiceService,
      AuditServiceService,
      BuildServiceService,
      DeploymentServiceService,
      FleetServiceService,
      FreezeServiceService,
      MembershipServiceService,
      ReplicationServiceService,
      TokenServiceService,
    ]) {
      const names = Object.entries(service).map(([name, { responseStream }]) => {
        return [name, responseStream ? this.#stream(name) : this.#unary(name)] as const;
      });
      server.addService(service, Object.fromEntries(names) as UntypedServiceImplementation);
    }
    this.port = await bind(server, this.port, this.#credentials);
    this.#server = server;
    return this;
  }

  /** Breaks every connection at once, as a killed process does. */
  kill(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  #record(method: string, request: unknown, metadata: Metadata): void {
    this.calls.push(method);
    this.requests.push({ method, request: request as Record<string, unknown>, metadata });
  }

  #unary(method: string) {
    return (call: Call, callback: sendUnaryData<unknown>): void => {
      this.#record(method, call.request, call.metadata);
      const answer = async (): Promise<unknown> => {
        const scripted = this.script.unary?.[method];
        if (scripted === undefined) throw new Refusal(status.UNIMPLEMENTED, `no script: ${method}`);
        return complete(method, await scripted(call.request as never, call));
      };
      void respond(answer, callback);
    };
  }

  #stream(method: string) {
    return (call: ServerWritableStream<never, unknown>): void => {
      this.#record(method, call.request, call.metadata);
      const act = async (): Promise<void> => {
        const scripted = this.script.streams?.[method];
        if (scripted === undefined) throw new Refusal(status.UNIMPLEMENTED, `no script: ${method}`);
        await scripted({
          request: call.request,
          call,
          send: (message) => call.write(complete(method, message)),
        });
      };
      act().catch((error: Error) => call.emit("error", error));
    };
  }
}

async function respond(
  answer: () => Promise<unknown>,
  callback: sendUnaryData<unknown>,
): Promise<void> {
  try {
    callback(null, await answer());
  } catch (error) {
    callback(error as Refusal);
  }
}

function bind(server: Server, port: number, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
}

/** The response message of a method with every default filled in. */
function complete(method: string, response: unknown): unknown {
  const name = `${method[0]?.toUpperCase()}${method.slice(1)}Response`;
  const types = proto as unknown as Record<string, { fromPartial(value: unknown): unknown }>;
  return types[name]?.fromPartial(response);
}
