import type { RoleName } from "../membership/roles.js";

/** Roles of people and their tools; each may do what the ones before it may. */
export const HUMAN_ROLES = ["viewer", "deployer", "admin"] as const;
export type HumanRole = (typeof HUMAN_ROLES)[number];

/** Roles of a fleet's own processes. Each stands alone: no other role includes it. */
export type ProcessRole = "builder" | "region" | "enrol";

export type Role = HumanRole | ProcessRole;

/** Who calls. */
export interface Identity {
  /** Of the token that the call came with; empty without one. */
  readonly tokenId: string;
  /** The token's name: the actor that the audit shows. Empty without a token. */
  readonly name: string;
  /** "anyone": authentication is off. "nobody": a stranger, who may call only what is open. */
  readonly role: Role | "anyone" | "nobody";
  /** The applications that the token is limited to; none: all of them. */
  readonly applications: readonly string[];
  /** The only region that it may speak of; empty: any. */
  readonly region: string;
  /** The only id that it may claim, of a builder or of who enrols; empty: any. */
  readonly subject: string;
  /** When the token ends; absent if it does not, or there is none. */
  readonly expireTime?: Date;
  /** Of an enrolment token: what may join with it, and whether in another one's place. */
  readonly enrolment?: { readonly memberRole: RoleName; readonly allowRejoin: boolean };
}

const WITHOUT_TOKEN = { tokenId: "", name: "", applications: [], region: "", subject: "" } as const;

/** Every caller while authentication is off: may do everything. */
export const ANYONE: Identity = { ...WITHOUT_TOKEN, role: "anyone" };

/** A caller of what is open while authentication is on. */
export const NOBODY: Identity = { ...WITHOUT_TOKEN, role: "nobody" };

/** Whether a token said who calls. */
export const isAuthenticated = ({ tokenId }: Identity): boolean => tokenId !== "";
