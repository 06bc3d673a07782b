import type {AttributeValue, ScopeEvent} from '@scope/api';
import type pc from 'picocolors';
import {bytes, duration, printable} from './table';

type Attributes = ScopeEvent['attributes'];
type Tell = (attributes: Attributes) => string;

const text = (value: AttributeValue | undefined): string => (value === undefined ? '' : String(value));
const number = (value: AttributeValue | undefined): number => (typeof value === 'number' ? value : 0);
const took = (value: AttributeValue | undefined): string => (value === undefined ? '' : duration(number(value)));

function endpoint(attributes: Attributes, side: 'local' | 'peer'): string {
  const address = text(attributes[`network.${side}.address`]);
  const port = attributes[`network.${side}.port`];
  if (address === '') return '-';
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${text(port)}` : `${address}:${text(port)}`;
}

const moved = (attributes: Attributes, way: string): string =>
  `${bytes(number(attributes[`${way}.bytes`]))} in ${number(attributes[`${way}.calls`])}`;

const fileTraffic: Tell = attributes =>
  join(
    `read ${moved(attributes, 'scope.fs.read')}, wrote ${moved(attributes, 'scope.fs.write')}`,
    took(attributes['scope.fs.duration']),
  );

const netTraffic: Tell = attributes =>
  join(
    `received ${moved(attributes, 'scope.net.receive')}, sent ${moved(attributes, 'scope.net.transmit')}`,
    took(attributes['scope.net.duration']),
  );

const adopted = (attributes: Attributes): string => (attributes['scope.adopted'] === true ? '(open before)' : '');
const failure = (attributes: Attributes): string => text(attributes['error.type']);

const connection: Tell = attributes =>
  join(
    text(attributes['scope.net.role']),
    text(attributes['network.transport']),
    `${endpoint(attributes, 'local')} ↔ ${endpoint(attributes, 'peer')}`,
    adopted(attributes),
  );

const exchange: Tell = attributes =>
  join(
    text(attributes['scope.http.role']),
    text(attributes['http.request.method']),
    target(attributes),
    '→',
    text(attributes['http.response.status_code']) || failure(attributes) || '?',
    took(attributes['scope.http.duration']),
  );

function target(attributes: Attributes): string {
  if (attributes['url.full'] !== undefined) return text(attributes['url.full']);
  const query = text(attributes['url.query']);
  return `${text(attributes['url.path'])}${query === '' ? '' : `?${query}`}`;
}

const end: Tell = attributes => {
  const [code, signal] = [attributes['process.exit.code'], attributes['scope.exit.signal']];
  return signal !== undefined ? `by ${text(signal)}` : code !== undefined ? `code ${text(code)}` : '';
};

/** What of an event's attributes a person wants on one line; events without an entry show all of them. */
const TELL: Readonly<Record<string, Tell>> = {
  'process.exit': end,
  'fs.open': attributes => join(text(attributes['file.path']), adopted(attributes)),
  'fs.io': attributes => join(text(attributes['file.path']), fileTraffic(attributes), '(still open)'),
  'fs.close': attributes => join(text(attributes['file.path']), fileTraffic(attributes), failure(attributes)),
  'fs.delete': attributes => text(attributes['file.path']),
  'fs.error': attributes => join(text(attributes['file.path']), failure(attributes)),
  'net.listen': attributes =>
    join(text(attributes['network.transport']), endpoint(attributes, 'local'), adopted(attributes)),
  'net.open': connection,
  'net.io': attributes => join(connection(attributes), netTraffic(attributes), '(still open)'),
  'net.close': attributes =>
    join(
      connection(attributes),
      netTraffic(attributes),
      failure(attributes) || text(attributes['scope.net.close.reason']),
    ),
  'net.error': attributes => join(connection(attributes), failure(attributes)),
  'dns.query': attributes =>
    join(
      text(attributes['dns.question.name']),
      '→',
      text(attributes['dns.answers']) || failure(attributes) || '-',
      took(attributes['scope.dns.duration']),
    ),
  'http.exchange': exchange,
  'console.line': attributes => text(attributes['scope.console.line']),
};

/** TIME NAME[PID] EVENT WHAT: one line, whatever bytes the target put into it. */
export function eventText(event: ScopeEvent, colors: ReturnType<typeof pc.createColors>): string {
  const {time, process, attributes, lost} = event;
  const what = (TELL[event.event] ?? everything)(attributes);
  const who = `${process.pod === undefined ? '' : `${process.namespace ?? ''}/${process.pod}/`}${process.name}[${process.pid}]`;
  const gap = lost === undefined ? '' : colors.red(` (lost before: ${everything(lost)})`);
  const failed = event.event.endsWith('.error') || attributes['error.type'] !== undefined;
  const name = (failed ? colors.red : colors.cyan)(event.event.padEnd(14));
  return `${colors.dim(time.slice(11, 23))} ${colors.bold(printable(who))} ${name} ${printable(what)}${gap}`;
}

function everything(attributes: Readonly<Record<string, AttributeValue>>): string {
  return Object.entries(attributes)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}

function join(...parts: string[]): string {
  return parts.filter(part => part !== '').join(' ');
}
