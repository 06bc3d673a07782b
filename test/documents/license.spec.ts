import {readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {parse} from 'yaml';
import {checkout} from '../support/checkout';

const read = (path: string): string => readFileSync(join(checkout, path), 'utf8');

it('everything that is published names the license whose text is here', () => {
  expect(read('LICENSE')).toMatch(/^\s*Apache License\n\s*Version 2\.0, January 2004\n/);
  const npm = JSON.parse(read('package.json')) as {license?: string};
  const cargo = /^\[workspace\.package\]\n(?:.+\n)*?license = "(.+)"/m.exec(read('native/Cargo.toml'))?.[1];
  const chart = parse(read('charts/scope/Chart.yaml')) as {annotations?: Record<string, string>};
  const image = /image\.licenses="(.+?)"/.exec(read('Dockerfile'))?.[1];
  const named = [npm.license, cargo, chart.annotations?.['artifacthub.io/license'], image];
  expect(named).toEqual(['Apache-2.0', 'Apache-2.0', 'Apache-2.0', 'Apache-2.0']);
  const crates = readdirSync(join(checkout, 'native'), {recursive: true, encoding: 'utf8'})
    .filter(path => path.endsWith('/Cargo.toml') && !path.startsWith('target/'))
    .filter(path => !path.startsWith('fuzz/'));
  expect(crates).not.toEqual([]);
  for (const path of crates) expect(read(`native/${path}`)).toContain('license.workspace = true');
});
