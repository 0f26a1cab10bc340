import { generateKeyPairSync, sign } from "node:crypto";
import {
  Server,
  ServerCredentials,
  status,
  type handleUnaryCall,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import {
  JoinClaim,
  type MemberGrant,
  Membership,
  Role,
  MEMBERSHIP_SIGNATURE_CONTEXT,
  MembershipServiceService,
  RenewClaim,
  setErrorDetails,
  type JoinRequest,
  type JoinResponse,
  type MembershipServiceServer,
  type RenewRequest,
  type RenewResponse,
} from "@slipway/proto";
import { Metadata } from "@grpc/grpc-js";

/** How a call fails. */
export interface Refusal {
  code: status;
  reason: string;
}

function refuse(_call: unknown, answer: (error: object) => void): void {
  answer({ code: status.UNIMPLEMENTED });
}

/** The part of a coordinator that makes members; what it is asked it believes. */
export class FakeMembers {
  /** Signs certificates. */
  fleet = generateKeyPairSync("ed25519");
  /** Another one, to take its place. */
  readonly next = generateKeyPairSync("ed25519");
  readonly tokens: string[] = [];
  readonly joins: JoinClaim[] = [];
  readonly renewals: RenewClaim[] = [];
  /** Of the calls to come, one each. */
  readonly refusals: Refusal[] = [];
  /** Does its work and loses the answer, so often. */
  lost = 0;
  validForMs = 3_600_000;
  /** How its clock differs, in ms. */
  skewMs = 0;
  change: (grant: MemberGrant) => MemberGrant = (grant) => grant;
  readonly #server = new Server();
  #members = new Map<string, JoinClaim>();
  address = "";

  async start(): Promise<void> {
    const join = this.#answer<JoinRequest, JoinResponse>((call) => {
      this.tokens.push(String(call.metadata.get("authorization")[0]));
      const claim = JoinClaim.decode(call.request.claim);
      this.joins.push(claim);
      this.#members.set(claim.id, claim);
      return { grant: this.#grant(claim) };
    });
    const renewKnown = this.#answer<RenewRequest, RenewResponse>((call) => {
      const claim = RenewClaim.decode(call.request.claim);
      this.renewals.push(claim);
      return { grant: this.#grant(this.#members.get(claim.id) ?? JoinClaim.fromPartial({})) };
    });
    const renew: typeof renewKnown = (call, answer) => {
      if (!this.#members.has(RenewClaim.decode(call.request.claim).id)) {
        this.refusals.unshift({ code: status.UNAUTHENTICATED, reason: "NOT_THAT_MEMBER" });
      }
      renewKnown(call, answer);
    };
    const members: MembershipServiceServer = {
      join,
      renew,
      getTime: (_call, answer) => answer(null, { time: new Date(this.#now()) }),
      listMembers: refuse,
      revokeMember: refuse,
      releaseMember: refuse,
    };
    this.#server.addService(MembershipServiceService, members);
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    this.address = `127.0.0.1:${port}`;
  }

  /** Knows of no member any more. */
  forget(): void {
    this.#members.clear();
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  /** A certificate of the fleet for what is claimed. */
  certificate(claim: JoinClaim, expireTime: Date): MemberGrant["certificate"] {
    const { publicKey, id, region, role } = claim;
    const payload = Buffer.from(
      Membership.encode({ publicKey, id, region, role, expireTime }).finish(),
    );
    const message = Buffer.concat([Buffer.from(MEMBERSHIP_SIGNATURE_CONTEXT), payload]);
    return { payload, signature: sign(null, message, this.fleet.privateKey) };
  }

  #now(): number {
    return Date.now() + this.skewMs;
  }

  #grant(claim: JoinClaim): MemberGrant {
    const issueTime = new Date(this.#now());
    const expireTime = new Date(this.#now() + this.validForMs);
    const certificate = this.certificate(claim, expireTime);
    const rest = {
      keySet: Buffer.alloc(0),
      natsJwt: `jwt of ${claim.natsPublicKey}`,
      globalNatsJwt: claim.role === Role.REGION ? `global jwt of ${claim.natsPublicKey}` : "",
    };
    return this.change({ certificate, issueTime, expireTime, ...rest });
  }

  #answer<Request, Response>(
    run: (call: ServerUnaryCall<Request, Response>) => Response,
  ): handleUnaryCall<Request, Response> {
    return (call, answer) => {
      const refusal = this.refusals.shift();
      if (refusal !== undefined) {
        const { code, reason } = refusal;
        const metadata = new Metadata();
        setErrorDetails(metadata, code, reason, { reason, violations: [] });
        answer({ code, details: reason, metadata });
        return;
      }
      const response = run(call);
      this.lost -= 1;
      if (this.lost >= 0) answer({ code: status.UNAVAILABLE, details: "lost" });
      else answer(null, response);
    };
  }
}
