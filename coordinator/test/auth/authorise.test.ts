import { suite } from "uvu";
import * as assert from "uvu/assert";
import { authorise, includes } from "../../src/auth/authorise.js";
import { ANYONE, NOBODY, type Identity, type Role } from "../../src/auth/identity.js";
import {
  admin,
  ANY_TOKEN,
  application,
  build,
  BUILDER,
  deployer,
  ENROL,
  filter,
  fleet,
  free,
  OPEN,
  regionAgent,
  viewer,
  type Access,
  type ApplicationLookUp,
  type Rule,
} from "../../src/auth/rules.js";
import { DomainError } from "../../src/errors.js";

const test = suite("authorise");

const ROLES: readonly Role[] = ["viewer", "deployer", "admin", "builder", "region", "enrol"];
const find: ApplicationLookUp = {
  ofBuild: async (id) => (id === "of shop" ? ["shop"] : id === "of blog" ? ["blog"] : []),
  ofDeployment: async () => [],
  ofFreeze: async () => [],
  ofArtifact: async () => [],
};
const holder = (role: Role, limits: Partial<Identity> = {}): Identity => ({
  tokenId: "1",
  name: "someone",
  role,
  applications: [],
  region: "",
  subject: "",
  ...limits,
});
const reasonOf = async <R>(rule: Rule<R>, identity: Identity, request: R): Promise<string> => {
  try {
    await authorise(rule, identity, request, find);
    return "";
  } catch (error) {
    assert.instance(error, DomainError);
    return (error as DomainError).reason;
  }
};

test("which role may do what", () => {
  const table: Record<Access, readonly Role[]> = {
    viewer: ["viewer", "deployer", "admin"],
    deployer: ["deployer", "admin"],
    admin: ["admin"],
    builder: ["builder"],
    region: ["region"],
    enrol: ["enrol"],
    any: ROLES,
    open: ROLES,
  };
  for (const [access, allowed] of Object.entries(table)) {
    for (const role of ROLES) {
      assert.is(includes(role, access as Access), allowed.includes(role), `${role} for ${access}`);
    }
    assert.ok(includes("anyone", access as Access));
    assert.is(includes("nobody", access as Access), access === "open");
  }
});

test("the wrong role is refused, whatever the request names", async () => {
  const rules = [
    [viewer(free), "builder"],
    [deployer(free), "viewer"],
    [admin(free), "deployer"],
    [BUILDER, "admin"],
    [regionAgent(() => "eu"), "admin"],
    [ENROL, "admin"],
  ] as const;
  for (const [rule, role] of rules) {
    assert.is(await reasonOf(rule, holder(role), {}), "ROLE_REQUIRED");
    assert.is(await reasonOf(rule, NOBODY, {}), "ROLE_REQUIRED");
    assert.is(await reasonOf(rule, ANYONE, {}), "");
  }
  assert.is(await reasonOf(OPEN, NOBODY, {}), "");
  assert.is(await reasonOf(ANY_TOKEN, holder("enrol"), {}), "");
});

test("a token that is limited to applications stays among them", async () => {
  const limited = holder("admin", { applications: ["shop", "cart"] });
  const byName = viewer(application(({ name }: { name: string }) => name));
  const byId = viewer(build(({ name }: { name: string }) => name));
  const list = viewer(filter(({ name }: { name: string }) => name));
  const table: [Rule<{ name: string }>, string, string][] = [
    [byName, "shop", ""],
    [byName, "blog", "OUT_OF_SCOPE"],
    [byName, "", "OUT_OF_SCOPE"],
    [byId, "of shop", ""],
    [byId, "of blog", "OUT_OF_SCOPE"],
    [byId, "of nothing", "OUT_OF_SCOPE"],
    [list, "cart", ""],
    [list, "blog", "OUT_OF_SCOPE"],
    [list, "", "OUT_OF_SCOPE"],
    [viewer(free), "blog", ""],
    [admin(fleet), "shop", "OUT_OF_SCOPE"],
  ];
  for (const [rule, name, reason] of table) {
    assert.is(await reasonOf(rule, limited, { name }), reason, `${rule.scope.kind} ${name}`);
    assert.is(await reasonOf(rule, holder("admin"), { name }), "", "one without limits may");
  }
});

test("what is not there and what is another application's are answered alike", async () => {
  const limited = holder("viewer", { applications: ["shop"] });
  const byId = viewer(build(({ id }: { id: string }) => id));
  const messageOf = async (id: string): Promise<string> =>
    authorise(byId, limited, { id }, find)?.then(String, String) ?? "";
  assert.is(await messageOf("of blog"), await messageOf("of nothing"));
  assert.match(await messageOf("of blog"), /limited to applications \(shop\)/);
});

test("a region's token speaks of its region only", async () => {
  const rule = regionAgent(({ regions }: { regions: string[] }) => regions);
  const eu = holder("region", { region: "eu" });
  assert.is(await reasonOf(rule, eu, { regions: ["eu", "eu"] }), "");
  assert.is(await reasonOf(rule, eu, { regions: [] }), "");
  assert.is(await reasonOf(rule, eu, { regions: ["eu", "us"] }), "OUT_OF_SCOPE");
  assert.is(await reasonOf(rule, holder("region"), { regions: ["us"] }), "");
});

test.run();
