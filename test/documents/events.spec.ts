import {readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import type {ScopeEvent} from '@scope/api';
import {EVENT_NAMES} from '@scope/api';
import {checkout} from '../support/checkout';
import {EventsPage, faultsOf} from '../support/events-page';

const page = new EventsPage();
const events = page.events();

/** String literals that can only be attributes, in what the sources hold beside their tests. */
function attributesIn(folder: string, name: RegExp, isTest: RegExp, before: RegExp): string[] {
  const literal = /["'`]((?:scope|process|file|network|http|url|server|dns|error|user_agent)(?:\.[a-z_]+)+\.?)["'`]/g;
  return readdirSync(join(checkout, folder), {recursive: true, encoding: 'utf8'})
    .filter(path => name.test(path) && !isTest.test(path))
    .flatMap(path => {
      const [text = ''] = readFileSync(join(checkout, folder, path), 'utf8').split(before);
      return [...text.matchAll(literal)].map(([, found = '']) => found);
    })
    .filter(found => !(EVENT_NAMES as readonly string[]).includes(found));
}

it('docs/events.md has a section for each event, and no other', () => {
  expect(events.map(({name}) => name).sort()).toEqual([...EVENT_NAMES].sort());
});

it('docs/events.md has each attribute that the sources write, and no other', () => {
  const written = [
    ...attributesIn('native/decoder/src', /\.rs$/, /(^|\/)(tests|fuzzing|synthetic)/, /#\[cfg\(test\)\]/),
    ...attributesIn('libs/attach/src', /^(attach-session|session-facts)\.ts$/, /\.spec\./, /\0/),
    ...attributesIn('libs/core/src', /^gap\.ts$/, /\.spec\./, /\0/),
  ];
  const told = events.flatMap(({attributes}) => [...attributes.keys()]);
  expect([...new Set(told)].sort()).toEqual([...new Set(written)].sort());
});

it('docs/events.md has each count of what was lost', () => {
  const source = readFileSync(join(checkout, 'native/decoder/src/stats.rs'), 'utf8');
  const [, body = ''] = /const TABLE: .+?\[\n(.+?)\n {4}\]/s.exec(source) ?? [];
  const counts = [...body.matchAll(/\("([A-Za-z]+)"/g)].map(([, name = '']) => name);
  expect(counts).toHaveLength(21);
  const section = /^## lost\n(.+?)^## /ms.exec(readFileSync(join(checkout, 'docs/events.md'), 'utf8'))?.[1] ?? '';
  const told = [...section.matchAll(/^\| ((?:`[A-Za-z]+`(?:, )?)+)/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([A-Za-z]+)`/g)].map(([, name = '']) => name),
  );
  expect(told.sort()).toEqual(counts.sort());
});

it.each(events.map(section => [section.name, section] as const))('the example of %s is one', (name, section) => {
  const event = JSON.parse(section.example ?? 'null') as ScopeEvent | null;
  expect(event).toMatchObject({event: name});
  expect(event?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  expect(faultsOf(event?.attributes ?? {}, section)).toEqual([]);
  expect(faultsOf({...event?.process}, page.fields('process'))).toEqual([]);
});
