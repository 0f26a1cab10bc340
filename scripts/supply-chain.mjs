// What the project is made of: writes the bill of materials (CycloneDX, by npm itself) and lists the
// licences in it; fails on one that the project's own licence cannot live with, or that is unknown.
//
//   node scripts/supply-chain.mjs [FILE]   where to write it; default sbom.cdx.json
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

// Permissive all of them: nothing that is linked with the project asks for its source in return.
const ALLOWED = [
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "Python-2.0",
  "Unlicense",
];

const root = fileURLToPath(new URL("..", import.meta.url));
const [file = "sbom.cdx.json"] = process.argv.slice(2);
const bom = execFileSync("npm", ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"], {
  cwd: root,
  encoding: "utf8",
  stdio: ["ignore", "pipe", "inherit"],
  timeout: 60_000,
  maxBuffer: 64 * 1024 * 1024,
});
writeFileSync(file, bom);

const { components = [] } = JSON.parse(bom);
const byLicence = new Map();
const refused = [];
for (const { name, version, licenses = [] } of components) {
  const licence = licenses
    .map(({ license, expression }) => expression ?? license?.id ?? license?.name)
    .join(" AND ");
  byLicence.set(licence, [...(byLicence.get(licence) ?? []), `${name}@${version}`]);
  if (!isAllowed(licence)) refused.push(`${name}@${version}: ${licence || "no licence said"}`);
}
for (const [licence, names] of [...byLicence].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  console.log(`${licence} (${names.length}): ${names.join(" ")}`);
}
console.log(`${components.length} components written to ${file}`);
if (components.length === 0) refused.push("the bill of materials is empty");
for (const line of refused) console.error(`not allowed: ${line}`);
process.exitCode = refused.length === 0 ? 0 : 1;

/** Of an SPDX expression with one kind of operator; another is refused, for a person to look at. */
function isAllowed(licence) {
  const plain = licence.replace(/^\((.*)\)$/, "$1");
  if (plain.includes(" OR ")) return plain.split(" OR ").some((one) => ALLOWED.includes(one));
  return plain.split(" AND ").every((one) => ALLOWED.includes(one));
}
