// docs/events.md as the tests read it: which attributes each event may have, and its example.
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout} from './checkout';
import {tableRows} from './markdown-table';

const path = join(checkout, 'docs/events.md');
const TYPES = ['string', 'number', 'boolean', 'list of strings', 'object'] as const;
export type FieldType = (typeof TYPES)[number];

export interface EventSection {
  readonly name: string;
  /** By name; one that ends in a dot stands for every name that begins so. */
  readonly attributes: ReadonlyMap<string, FieldType>;
  /** Whether a row says that the attribute is always there. */
  readonly always: readonly string[];
  readonly example: string | undefined;
}

export class EventsPage {
  private readonly sections: ReadonlyMap<string, string>;

  constructor(private text = readFileSync(path, 'utf8')) {
    const parts = text.split(/^#{2,3} /m).slice(1);
    this.sections = new Map(parts.map(part => [part.slice(0, part.indexOf('\n')), part]));
  }

  /** Fields of the object that a section of that title describes. */
  fields(title: string): EventSection {
    const section = this.sections.get(title);
    if (section === undefined) throw new Error(`docs/events.md has no section "${title}"`);
    const attributes = new Map<string, FieldType>();
    const always: string[] = [];
    for (const [cell = '', type = '', when = ''] of tableRows(section)) {
      const group = /^\[(.+)\]\(#/.exec(cell)?.[1];
      if (group !== undefined) {
        const of = this.fields(group);
        for (const [name, kind] of of.attributes) attributes.set(name, kind);
        always.push(...of.always);
        continue;
      }
      const known = TYPES.find(one => one === type);
      if (known === undefined) throw new Error(`docs/events.md, ${title}, ${cell}: "${type}" is no type`);
      const name = cell.replaceAll('`', '').replace(/NAME$/, '');
      attributes.set(name, known);
      if (when === 'always') always.push(name);
    }
    return {name: title, attributes, always, example: /```json\n(.+?)\n```/s.exec(section)?.[1]};
  }

  /** Titles that are names of events. */
  events(): EventSection[] {
    return [...this.sections.keys()].filter(title => /^[a-z]+\.[a-z]+$/.test(title)).map(title => this.fields(title));
  }

  /** Writes the event's example, behind its table. */
  setExample(name: string, line: string): void {
    const section = this.sections.get(name);
    if (section === undefined) throw new Error(`docs/events.md has no section "${name}"`);
    const bare = section.replace(/\n```json\n.+?\n```\n/s, '');
    const table = bare.slice(0, bare.lastIndexOf('|') + 1);
    const changed = `${table}\n\n\`\`\`json\n${line}\n\`\`\`\n${bare.slice(table.length)}`;
    this.text = this.text.replace(section, () => changed);
    writeFileSync(path, this.text);
  }
}

/** What is wrong with an object's fields, by what the page says of them. */
export function faultsOf(fields: Readonly<Record<string, unknown>>, section: EventSection): string[] {
  const typeOf = (name: string): FieldType | undefined =>
    section.attributes.get(name) ??
    [...section.attributes].find(([known]) => known.endsWith('.') && name.startsWith(known))?.[1];
  const wrong = Object.entries(fields).flatMap(([name, value]) => {
    const type = typeOf(name);
    if (type === undefined) return [`${section.name} has ${name}, which docs/events.md does not tell of`];
    const is = Array.isArray(value) ? 'list of strings' : typeof value;
    return is === type ? [] : [`${section.name}: ${name} is ${is}, docs/events.md says ${type}`];
  });
  const missing = section.always.filter(name => !(name in fields));
  return [...wrong, ...missing.map(name => `${section.name} has no ${name}, which docs/events.md says it always has`)];
}
