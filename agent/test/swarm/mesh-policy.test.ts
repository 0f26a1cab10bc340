import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Candidate, Candidates } from "../../src/swarm/candidates.js";
import { type Link, Mesh } from "../../src/swarm/mesh.js";

const ADDRESS = { host: "127.0.0.1", port: 1 };

/** The same numbers each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

interface Node {
  id: string;
  cell: string;
  seeder: boolean;
  mesh: Mesh;
  links: Set<string>;
}

/** Many peers without a network: each second they hear of up to 20 others, and dial. */
class Model {
  readonly nodes = new Map<string, Node>();
  readonly #random = seeded(7);
  now = 1_000_000;
  refused = 0;

  add(
    cell: string,
    options: { seeder?: boolean; cells?: string[]; neighbourCells?: string[] } = {},
  ): Node {
    const { seeder = false, cells = [], neighbourCells = [] } = options;
    const id = `${cell}-${this.nodes.size}`;
    const mesh = new Mesh(
      {
        role: seeder ? "region" : "host",
        cell,
        neighbourCells,
        maxPeers: seeder ? 64 : 10,
        seeders: 1,
      },
      this.#random,
    );
    for (const joined of cells) mesh.join(joined);
    const node = { id, cell, seeder, mesh, links: new Set<string>() };
    this.nodes.set(id, node);
    return node;
  }

  remove(node: Node): void {
    this.nodes.delete(node.id);
    for (const id of node.links) this.#cut(this.#get(id), node, false, true);
  }

  run(seconds: number): void {
    for (let end = this.now + seconds * 1_000; this.now < end; this.now += 1_000) {
      for (const node of this.nodes.values()) {
        this.#hear(node);
        for (const { id } of node.mesh.dials(this.now)) this.#connect(node, this.nodes.get(id));
        if (this.now % 5_000 === 0) {
          for (const id of node.mesh.surplus(this.now)) this.#cut(node, this.#get(id), true);
        }
      }
      for (const node of this.nodes.values()) {
        for (const id of node.links) this.#get(id).mesh.told(node.id, node.mesh.homeNeighbours);
      }
    }
  }

  degrees(cell: string): number[] {
    return [...this.nodes.values()]
      .filter((node) => node.cell === cell && !node.seeder)
      .map(({ mesh }) => mesh.homeNeighbours);
  }

  #hear(node: Node): void {
    const all = [...this.nodes.values()];
    for (let count = 0; count < 20; count++) {
      const other = all[Math.floor(this.#random() * all.length)];
      if (other !== undefined && other !== node) node.mesh.found(candidate(other));
    }
  }

  #connect(from: Node, to: Node | undefined): void {
    if (to === undefined || from.links.has(to.id)) return;
    const ends = [
      [from, to],
      [to, from],
    ] as const;
    const admissions = ends.map(([node, other]) => node.mesh.admit(linkOf(other), this.now));
    if (admissions.some(({ kind }) => kind === "refuse")) {
      this.refused++;
      for (const [node, other] of ends) node.mesh.unlinked(other.id, true, this.now);
      return;
    }
    for (const [index, [node, other]] of ends.entries()) {
      const admission = admissions[index];
      if (admission?.kind === "keep" && admission.instead !== undefined) {
        this.#cut(node, this.#get(admission.instead), true);
      }
      node.links.add(other.id);
      node.mesh.linked(linkOf(other), this.now);
    }
  }

  #cut(a: Node, b: Node, refused: boolean, gone = false): void {
    a.links.delete(b.id);
    a.mesh.unlinked(b.id, refused, this.now);
    if (gone) return;
    b.links.delete(a.id);
    b.mesh.unlinked(a.id, refused, this.now);
  }

  #get(id: string): Node {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }
}

const candidate = ({ id, cell, seeder }: Node): Candidate => ({
  id,
  publicKey: Buffer.from(id),
  address: ADDRESS,
  cell,
  seeder,
});

const linkOf = ({ id, cell, seeder, mesh }: Node): Link => ({
  id,
  cell,
  seeder,
  neighbours: mesh.homeNeighbours,
});

const host = (id: string): Pick<Link, "id" | "cell" | "seeder"> => ({
  id,
  cell: "a",
  seeder: false,
});

const named = (id: string, port: number): Candidate => ({
  id,
  publicKey: Buffer.from(id),
  address: { host: "127.0.0.1", port },
  cell: "a",
  seeder: false,
});

const anyOf = (): boolean => true;

function reachable(model: Model): number {
  const [from = ""] = model.nodes.keys();
  const seen = new Set([from]);
  for (const id of seen) {
    for (const next of model.nodes.get(id)?.links ?? []) seen.add(next);
  }
  return seen.size;
}

test("100 peers that start one after the other become a regular mesh, in which nobody is left out", () => {
  const model = new Model();
  for (let count = 0; count < 100; count++) {
    model.add("a");
    if (count % 10 === 0) model.run(1);
  }
  model.run(60);
  const degrees = model.degrees("a");
  assert.ok(Math.min(...degrees) >= 8, `least ${Math.min(...degrees)}`);
  assert.ok(Math.max(...degrees) <= 12, `most ${Math.max(...degrees)}`);
  const within = degrees.filter((degree) => degree <= 10).length;
  assert.ok(within >= 90, `${within} of 100 with 8 to 10`);
  assert.is(reachable(model), 100, "one mesh");
});

test("late-comers find places within seconds, and whoever lost neighbours finds others", () => {
  const model = new Model();
  for (let count = 0; count < 100; count++) model.add("a");
  model.run(60);
  const late = Array.from({ length: 5 }, () => model.add("a"));
  model.run(5);
  for (const { mesh } of late) assert.ok(mesh.homeNeighbours >= 8, `${mesh.homeNeighbours}`);
  for (const node of [...model.nodes.values()].slice(0, 40)) model.remove(node);
  assert.ok(Math.min(...model.degrees("a")) < 8, "some lost too many");
  // Two of five candidates are dead, and a dial of one is waited for.
  model.run(15);
  assert.ok(Math.min(...model.degrees("a")) >= 8, `${Math.min(...model.degrees("a"))}`);
});

test("a standing mesh is left alone", () => {
  const model = new Model();
  for (let count = 0; count < 40; count++) model.add("a");
  model.run(60);
  const before = [...model.nodes.values()].map(({ links }) => [...links].toSorted());
  const refused = model.refused;
  model.run(60);
  assert.equal(
    [...model.nodes.values()].map(({ links }) => [...links].toSorted()),
    before,
  );
  assert.is(model.refused, refused);
});

test("two links into each neighbouring cell, and no cell takes another's places", () => {
  const model = new Model();
  for (let count = 0; count < 80; count++) model.add("a", { neighbourCells: ["b"] });
  for (let count = 0; count < 12; count++) model.add("b");
  model.run(60);
  for (const node of model.nodes.values()) {
    const home = node.mesh.homeNeighbours;
    assert.ok(home >= 8 && home <= 12, `${node.id}: ${home} of its own cell`);
    const foreign = node.links.size - home;
    assert.ok(foreign <= (node.cell === "a" ? 6 : 4), `${node.id}: ${foreign} of the other`);
  }
  const into = model.degrees("b").length * 4;
  const links = [...model.nodes.values()]
    .filter(({ cell }) => cell === "b")
    .reduce((sum, { links: { size }, mesh }) => sum + size - mesh.homeNeighbours, 0);
  assert.is(links, into, "as many as the small cell has places for");
});

test("a region agent shares its places between its cells, and each host knows one", () => {
  const model = new Model();
  const seeder = model.add("a", { seeder: true, cells: ["b"] });
  for (let count = 0; count < 100; count++) model.add("a");
  for (let count = 0; count < 20; count++) model.add("b");
  model.run(60);
  const of = (cell: string): number => [...seeder.links].filter((id) => id.startsWith(cell)).length;
  assert.ok(of("a") === 32, `${of("a")} of a`);
  assert.is(of("b"), 20);
  assert.ok(Math.min(...model.degrees("a")) >= 8);
});

test("moods: soon while more may be there, later when no more are known, enough", () => {
  const mesh = new Mesh({
    role: "host",
    cell: "a",
    neighbourCells: ["b"],
    maxPeers: 4,
    seeders: 0,
  });
  assert.is(mesh.mood("a", 0), "later");
  for (const id of ["1", "2"]) {
    mesh.found({ ...host(id), publicKey: Buffer.from(id), address: ADDRESS });
    assert.is(mesh.mood("a", 0), "soon");
    assert.equal(
      mesh.dials(0).map((one) => one.id),
      id === "1" ? ["1"] : ["2"],
    );
    mesh.linked({ ...host(id), neighbours: 0 }, 0);
    assert.is(mesh.mood("a", 0), id === "1" ? "later" : "enough");
  }
  assert.is(mesh.mood("b", 0), "later");
  mesh.unlinked("1", false, 10);
  assert.equal(mesh.dials(10), [], "not the one that was just lost");
  assert.is(mesh.dials(1_010)[0]?.id, "1", "but soon");
});

test("whoever has no place is asked again less and less often; the list is bounded", () => {
  const candidates = new Candidates(() => 0.5);
  const one = { id: "1", publicKey: Buffer.from("1"), address: ADDRESS, cell: "a", seeder: false };
  candidates.found(one);
  const asked: number[] = [];
  for (let now = 0; now < 200_000; now += 1_000) {
    if (candidates.choose(1, anyOf, now).length === 0) continue;
    asked.push(now);
    candidates.refused("1", false, now);
  }
  assert.equal(asked, [0, 5_000, 15_000, 35_000, 75_000, 135_000, 195_000]);
  for (let count = 0; count < 5_000; count++) candidates.found({ ...one, id: `${count}` });
  assert.is(candidates.choose(5_000, anyOf, 500_000).length, 512);
});

test("a neighbour that names peers that are none takes nobody's place for long", () => {
  const candidates = new Candidates(() => 0.5);
  for (let count = 0; count < 100; count++) candidates.found(named(`found-${count}`, 7));
  candidates.found(named("told", 7), "honest");
  for (let count = 0; count < 5_000; count++) candidates.found(named(`${count}`, 9), "hostile");
  for (const id of ["found-3", "told"]) candidates.found(named(id, 9), "hostile");
  const known = candidates.choose(1_000, anyOf, 0);
  assert.is(known.length, 100 + 1 + 48);
  assert.is(known.filter(({ address }) => address.port === 7).length, 101, "where they were found");
  // Where it was said to be it is not: another's word is as good.
  candidates.found(named("told", 8), "honest");
  const told = candidates.choose(1_000, ({ id }) => id === "told", 60_000);
  assert.is(told[0]?.address.port, 8);
  // Its own word is better.
  candidates.found(named("told", 6));
  candidates.found(named("told", 9), "hostile");
  assert.is(candidates.choose(1, ({ id }) => id === "told", 120_000)[0]?.address.port, 6);
});

test.run();
