// compare.mjs SOURCE_FOLDER SCHEMA_FOLDER MODULES_FOLDER: gives every fixture to the published schemas. The loader's verdicts are
// known from the folders (good, bad) and held by manifest_fixtures_test; what a schema cannot say stands in beyond_schema.txt, and
// must be accepted by it, so that the list never grows stale. Exit code 1 when a verdict differs.
import { readFileSync, readdirSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [source, schemas, modules] = process.argv.slice(2).map((path) => resolve(path));
const Ajv = createRequire(join(modules, "node_modules", "x.js"))("ajv");
const ajv = new Ajv({ strict: true, allowUnionTypes: true, strictRequired: false, strictTypes: false });
const fixtures = join(source, "tests", "manifest");

// Comments become spaces; strings stay as they are.
function withoutComments(text) {
  return text.replace(/"(?:\\.|[^"\\])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) => (part[0] === '"' ? part : " "));
}

function compile(name) {
  return ajv.compile(JSON.parse(readFileSync(join(schemas, `${name}.schema.json`), "utf8")));
}

function listed(path) {
  return readFileSync(path, "utf8").split("\n").filter((line) => line && !line.startsWith("#"));
}

function jsonFiles(folder) {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")).sort() : [];
}

// undefined when the schema accepts the file, otherwise why it does not.
function refusal(validate, path) {
  let value;
  try {
    value = JSON.parse(withoutComments(readFileSync(path, "utf8")));
  } catch (error) {
    return error.message;
  }
  return validate(value) ? undefined : ajv.errorsText(validate.errors);
}

// The manifest's schema holds the policy's under its own $id, so that only one of the two can be in the same instance.
const manifest = compile("manifest");
const policy = ajv.getSchema("urn:rtsup:policy.schema.json");
const beyond = new Set(listed(join(fixtures, "beyond_schema.txt")));
const seen = new Set();
const differences = [];
let count = 0;

function expectAccepted(validate, path) {
  ++count;
  const reason = refusal(validate, path);
  if (reason !== undefined) differences.push(`${path}: the schema refuses what rtsup takes: ${reason}`);
}

function expectBad(validate, folder, file) {
  ++count;
  const name = join(folder, file).replace(/\.json$/, "");
  const refused = refusal(validate, join(fixtures, "bad", folder, file)) !== undefined;
  seen.add(name);
  if (!refused && !beyond.has(name)) differences.push(`bad/${name}: the schema takes what rtsup refuses`);
  if (refused && beyond.has(name)) differences.push(`bad/${name}: no longer beyond the schema: strike it from the list`);
}

for (const file of jsonFiles(join(fixtures, "good"))) expectAccepted(manifest, join(fixtures, "good", file));
for (const file of jsonFiles(join(fixtures, "good", "policies"))) expectAccepted(policy, join(fixtures, "good", "policies", file));
for (const file of jsonFiles(join(source, "policies"))) {
  if (file !== "groups.json") expectAccepted(policy, join(source, "policies", file));
}
for (const example of readdirSync(join(source, "examples"))) {
  const folder = join(source, "examples", example);
  if (existsSync(join(folder, "manifest.json"))) expectAccepted(manifest, join(folder, "manifest.json"));
  if (existsSync(join(folder, "policy.json"))) expectAccepted(policy, join(folder, "policy.json"));
  for (const file of jsonFiles(join(folder, "policies"))) expectAccepted(policy, join(folder, "policies", file));
}
for (const file of jsonFiles(join(fixtures, "bad"))) expectBad(manifest, "", file);
for (const file of jsonFiles(join(fixtures, "bad", "policies"))) expectBad(policy, "policies", file);
for (const name of beyond) {
  if (!seen.has(name)) differences.push(`beyond_schema.txt: there is no bad/${name}.json`);
}
if (count < 30) differences.push(`only ${count} files were found`);

for (const difference of differences) console.error(difference);
console.log(`${count} files compared, ${differences.length} differences`);
process.exit(differences.length === 0 ? 0 : 1);
