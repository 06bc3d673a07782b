import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {parse} from 'yaml';
import {checkout} from '../support/checkout';
import {tableRows} from '../support/markdown-table';

const chart = (path: string): string => readFileSync(join(checkout, 'charts/scope', path), 'utf8');

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean;
}

/** Paths of all values that the schema knows, but for those that Helm adds itself. */
function* known(schema: Schema, prefix = ''): Generator<string> {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    if (prefix === '' && name === 'global') continue;
    yield `${prefix}${name}`;
    yield* known(child, `${prefix}${name}.`);
  }
}

/** Paths of all values that there are, down to where the schema takes anything. */
function* present(values: unknown, schema: Schema | undefined, prefix = ''): Generator<string> {
  if (typeof values !== 'object' || values === null || schema?.properties === undefined) return;
  for (const [name, child] of Object.entries(values)) {
    yield `${prefix}${name}`;
    yield* present(child, schema.properties[name], `${prefix}${name}.`);
  }
}

const schema = JSON.parse(chart('values.schema.json')) as Schema;

it('values.schema.json knows the values that there are, and no others', () => {
  const values = [...present(parse(chart('values.yaml')), schema)];
  expect(values.sort()).toEqual([...known(schema)].sort());
});

it('values.schema.json refuses what is not in it, wherever it names what is', () => {
  const open: string[] = [];
  const look = (one: Schema, path: string): void => {
    if (one.properties === undefined) return;
    if (one.additionalProperties !== false) open.push(path);
    for (const [name, child] of Object.entries(one.properties)) look(child, `${path}.${name}`);
  };
  look(schema, 'values');
  expect(open).toEqual([]);
});

it('the README says what each value is for', () => {
  const rows = tableRows(chart('README.md').split('<!-- values: begin -->')[1] ?? '');
  expect(rows.length).toBeGreaterThan(20);
  expect(rows.filter(([, , meaning]) => meaning === '')).toEqual([]);
});

it('the templates read no value that is not there', () => {
  const text = [
    '_helpers.tpl',
    'agent.daemonset.yaml',
    'controller.deployment.yaml',
    'crds.yaml',
    'node-policy.yaml',
    'rbac.yaml',
    'serviceaccounts.yaml',
    'NOTES.txt',
  ]
    .map(name => chart(`templates/${name}`))
    .join('\n');
  const read = new Set([...text.matchAll(/\.Values\.([A-Za-z.]+)/g)].map(([, path = '']) => path));
  const values = [...present(parse(chart('values.yaml')), schema)];
  expect([...read].filter(path => !values.includes(path))).toEqual([]);
});
