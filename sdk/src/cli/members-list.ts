import { Member, MEMBER_ROLES, type Role } from "@slipway/proto";
import { InvalidArgumentError } from "commander";
import { messageJson } from "./json.js";
import { memberTable } from "./render/members.js";
import { parseLimit, type AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";
import { take } from "./take.js";

interface Options {
  region?: string;
  role?: Role;
  limit: number;
}

/** What `slipway members` does on its own as well. */
export const addMembersList: AddCommand = (group, run) => {
  group
    .command("list", { isDefault: true })
    .summary("list who has joined the fleet, and until when (the default)")
    .option("--region <region>", "only of this region")
    .option("--role <role>", "only those that are host, region or builder", parseRole)
    .option("--limit <n>", 'at most so many, or "all"', parseLimit, 100)
    .addHelpText("after", "\nExample:\n  slipway members --role builder")
    .action(
      run(async (session, { region, role, limit }: Options) => {
        const { client, signal } = session;
        const filter = {
          ...(region === undefined ? {} : { region }),
          ...(role === undefined ? {} : { role }),
        };
        const members = await take(session, client.members.list(filter, { signal }), limit);
        await print(
          session,
          () => ({ members: members.map((member) => messageJson(Member, member)) }),
          () => memberTable(members, lookOf(session)),
        );
      }),
    );
};

function parseRole(text: string): Role {
  const [, role] = Object.entries(MEMBER_ROLES).find(([name]) => name === text) ?? [];
  if (role !== undefined) return role;
  throw new InvalidArgumentError("It must be host, region or builder.");
}
