// Writes what follows from other files, which are the source: the TypeScript types of the custom resources and the tables
// of their pages, from their definitions in the chart; the chart's table of values.
//   node scripts/generate.mjs           writes libs/api/src/generated, and between the marks of docs/api and the chart's README
//   node scripts/generate.mjs --check   fails when what is there is not what would be written
import {readFileSync, readdirSync, writeFileSync, mkdirSync, existsSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {compile} from 'json-schema-to-typescript';
import {format, resolveConfig} from 'prettier';
import {parse} from 'yaml';
import {fieldTables} from './lib/field-tables.mjs';
import {valuesTable} from './lib/values-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const definitions = join(here, '../charts/scope/files/crds');
const output = join(here, '../libs/api/src/generated');
const pages = join(here, '../docs/api');
const chart = join(here, '../charts/scope');

/** The schema without what says nothing about a type. */
function prepare(schema) {
  if (Array.isArray(schema)) return schema.map(item => prepare(item));
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key.startsWith('x-kubernetes-') || key === 'default' || key === 'pattern') continue;
    copy[key] = prepare(value);
  }
  return copy;
}

async function typesOf(file) {
  const definition = parse(readFileSync(join(definitions, file), 'utf8'));
  const {kind} = definition.spec.names;
  const version = definition.spec.versions[0];
  const schema = prepare(version.schema.openAPIV3Schema);
  schema.properties.apiVersion = {const: `${definition.spec.group}/${version.name}`};
  schema.properties.kind = {const: kind};
  schema.properties.metadata = {tsType: 'ObjectMeta'};
  schema.required = ['apiVersion', 'kind', 'metadata', 'spec'];
  for (const part of ['spec', 'status'])
    schema.properties[part].title = `${kind}${part === 'spec' ? 'Spec' : 'Status'}`;
  const types = await compile(schema, kind, {
    additionalProperties: false,
    ignoreMinAndMaxItems: true,
    bannerComment: `/* Generated from charts/scope/files/crds/${file} by \`npm run generate\`. Not for editing. */\n\nimport type {ObjectMeta} from '../object-meta';`,
    style: {singleQuote: true, bracketSpacing: false, printWidth: 120, trailingComma: 'all', arrowParens: 'avoid'},
  });
  return [join(output, file.replace('.yaml', '.ts')), types];
}

/** A page with the text between its marks exchanged, formatted as the rest of the tree is. */
async function between(path, name, text) {
  const page = readFileSync(path, 'utf8');
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no place for ${name}: put ${begin} and ${end} there`);
  const whole = `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
  return [path, await format(whole, {...(await resolveConfig(path)), parser: 'markdown'})];
}

function pageOf(file) {
  const definition = parse(readFileSync(join(definitions, file), 'utf8'));
  return between(join(pages, `${definition.spec.names.kind}.md`), 'fields', fieldTables(definition));
}

function valuesPage() {
  const values = readFileSync(join(chart, 'values.yaml'), 'utf8');
  return between(join(chart, 'README.md'), 'values', valuesTable(values));
}

const files = readdirSync(definitions)
  .filter(name => name.endsWith('.yaml'))
  .sort();
const written = await Promise.all([...files.map(typesOf), ...files.map(pageOf), valuesPage()]);
if (process.argv.includes('--check')) {
  const stale = written.filter(([path, text]) => !existsSync(path) || readFileSync(path, 'utf8') !== text);
  for (const [path] of stale) process.stderr.write(`${path} is not current: npm run generate\n`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  mkdirSync(output, {recursive: true});
  for (const [path, text] of written) writeFileSync(path, text);
}
