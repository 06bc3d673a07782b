import type {ProcessIdentity, ScopeEvent} from '@scope/api';
import type {EventBatch, EventSink, SinkStats} from '@scope/core';
import {eventNameOffset, forEachLine, hasBytesAt} from '@scope/core';

/** One connection (or datagram socket, or pipe to a peer) of a scoped process, as its last event told it. */
export interface FlowView {
  readonly session: string;
  readonly process: ProcessIdentity;
  readonly descriptor: number;
  readonly role?: string;
  readonly transport?: string;
  readonly local?: string;
  readonly peer?: string;
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
  readonly openedAt: string;
  readonly closedAt?: string;
  readonly closeReason?: string;
  /** Of the error that ended it. */
  readonly error?: string;
  readonly adopted: boolean;
}

const FLOWS_KEPT = 4096;
const NET = Buffer.from('net.');
const TELLING: ReadonlySet<string> = new Set(['net.open', 'net.io', 'net.close']);

/** Which connections are open, and which were lately: built from net.* events, bounded. */
export class FlowTable implements EventSink {
  readonly name = 'flows';
  private readonly flows = new Map<string, FlowView>();
  private written = 0;
  private dropped = 0;

  write(batch: EventBatch): void {
    const {lines, session, summary} = batch;
    if (summary !== undefined && !Object.keys(summary.events).some(name => TELLING.has(name))) return;
    forEachLine(lines, (start, end) => {
      const name = eventNameOffset(lines, start, end);
      if (name >= 0 && hasBytesAt(lines, name, NET)) this.see(session.id, lines.toString('utf8', start, end));
    });
  }

  /** Oldest first. */
  list(): FlowView[] {
    return [...this.flows.values()];
  }

  /** Forgotten rows are in `stats`: no event is missing anywhere. */
  droppedOf(): number {
    return 0;
  }

  stats(): SinkStats {
    return {queueDepth: 0, queueCapacity: 0, written: this.written, dropped: this.dropped};
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private see(session: string, line: string): void {
    const event = parse(line);
    if (event === undefined || !TELLING.has(event.event)) return;
    this.written += 1;
    const {attributes} = event;
    const descriptor = number(attributes['scope.fd']) ?? -1;
    const key = `${session} ${descriptor}`;
    const known = this.flows.get(key);
    const isOpen = event.event === 'net.open';
    const before = isOpen ? undefined : known;
    if (isOpen && known !== undefined) this.retire(key, known);
    const closed = event.event === 'net.close' && attributes['scope.partial'] !== true;
    const flow: FlowView = {
      session,
      process: event.process,
      descriptor,
      ...optional('role', text(attributes['scope.net.role']) ?? before?.role),
      ...optional('transport', text(attributes['network.transport']) ?? before?.transport),
      ...optional('local', endpoint(attributes, 'network.local') ?? before?.local),
      ...optional('peer', endpoint(attributes, 'network.peer') ?? before?.peer),
      receivedBytes: number(attributes['scope.net.receive.bytes']) ?? before?.receivedBytes ?? 0,
      transmittedBytes: number(attributes['scope.net.transmit.bytes']) ?? before?.transmittedBytes ?? 0,
      openedAt: before?.openedAt ?? event.time,
      ...optional('closedAt', closed ? event.time : undefined),
      ...optional('closeReason', closed ? text(attributes['scope.net.close.reason']) : undefined),
      ...optional('error', closed ? text(attributes['error.type']) : undefined),
      adopted: attributes['scope.adopted'] === true || before?.adopted === true,
    };
    this.flows.delete(key);
    if (closed) this.retire(key, flow);
    else this.flows.set(key, flow);
    this.trim();
  }

  /** A closed flow keeps its row; its descriptor's number is free for the next one. */
  private retire(key: string, flow: FlowView): void {
    this.flows.delete(key);
    this.flows.set(`${key} ${flow.openedAt} ${this.written}`, flow);
  }

  /** Past the bound closed ones go first, the oldest of them first. */
  private trim(): void {
    if (this.flows.size <= FLOWS_KEPT) return;
    for (const [key, flow] of this.flows) {
      if (flow.closedAt === undefined) continue;
      this.flows.delete(key);
      return;
    }
    const oldest = this.flows.keys().next();
    if (oldest.done === false) this.flows.delete(oldest.value);
    this.dropped += 1;
  }
}

function parse(line: string): ScopeEvent | undefined {
  try {
    return JSON.parse(line) as ScopeEvent;
  } catch {
    return undefined;
  }
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({[key]: value} as Partial<Record<K, V>>);
}

const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function endpoint(attributes: ScopeEvent['attributes'], side: string): string | undefined {
  const address = text(attributes[`${side}.address`]);
  const port = number(attributes[`${side}.port`]);
  if (address === undefined) return undefined;
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
