import {execFileSync} from 'node:child_process';
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {parse} from 'yaml';

const root = join(__dirname, '../../..');
const folder = join(root, 'charts/scope/files/crds');

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly default?: unknown;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly minimum?: number;
}

interface Definition {
  readonly spec: {
    readonly names: {readonly kind: string};
    readonly versions: readonly {readonly schema: {readonly openAPIV3Schema: Schema}}[];
  };
}

const definitions = readdirSync(folder).map(name => parse(readFileSync(join(folder, name), 'utf8')) as Definition);
const schemaOf = (kind: string): Schema | undefined =>
  definitions.find(({spec}) => spec.names.kind === kind)?.spec.versions[0]?.schema.openAPIV3Schema;
const specOf = (kind: string): Readonly<Record<string, Schema>> => schemaOf(kind)?.properties?.spec?.properties ?? {};

/** Every schema below this one, with its path. */
function* walk(schema: Schema, path: string): Generator<readonly [string, Schema]> {
  yield [path, schema];
  for (const [name, child] of Object.entries(schema.properties ?? {})) yield* walk(child, `${path}.${name}`);
  if (schema.items !== undefined) yield* walk(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* walk(schema.additionalProperties, `${path}{}`);
}

const withoutDefault = ({default: _, description: __, ...schema}: Schema): Schema => schema;

describe('the definitions of the three kinds', () => {
  it('are what the types were generated from', () => {
    expect(() => execFileSync('node', [join(root, 'scripts/generate.mjs'), '--check'], {stdio: 'pipe'})).not.toThrow();
  });

  it('bound every string, list, map and number, and describe every field', () => {
    const wrong: string[] = [];
    for (const {spec} of definitions) {
      const schema = schemaOf(spec.names.kind);
      for (const part of ['spec', 'status']) {
        for (const [path, one] of walk(schema?.properties?.[part] ?? {}, `${spec.names.kind}.${part}`)) {
          const unbound =
            (one.type === 'string' && one.maxLength === undefined && one.enum === undefined) ||
            (one.type === 'array' && one.maxItems === undefined) ||
            (one.additionalProperties !== undefined && one.maxProperties === undefined) ||
            (one.type === 'integer' && one.minimum === undefined);
          if (unbound) wrong.push(`${path} has no bound`);
          if (one.description === undefined && !/[\]}]$/.test(path)) wrong.push(`${path} has no description`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('mean the same by `capture`, `rateLimit` and the life of an object', () => {
    const shared = ['rateLimit', 'activeDeadlineSeconds', 'ttlSecondsAfterFinished', 'suspend', 'capture'];
    for (const name of shared) expect(specOf('ClusterScopeAttach')[name]).toEqual(specOf('ScopeAttach')[name]);
    // A target has no default: the object it was made for had one.
    expect(withoutDefault(specOf('ScopeTarget').capture ?? {})).toEqual(
      withoutDefault(specOf('ScopeAttach').capture ?? {}),
    );
    expect(specOf('ScopeTarget').rateLimit).toEqual(specOf('ScopeAttach').rateLimit);
  });

  it('mean the same by `processes`', () => {
    const {processes} = specOf('ScopeAttach').target?.properties ?? {};
    expect(specOf('ClusterScopeAttach').target?.properties?.processes).toEqual(processes);
    expect(specOf('ScopeTarget').processes).toEqual(processes);
  });
});
