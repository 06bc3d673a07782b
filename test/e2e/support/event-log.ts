import {readFileSync} from 'node:fs';
import type {ScopeEvent} from '@scope/api';
import {until} from '../../cluster/shell';
import {collectorFile, RELEASE, SYSTEM_NAMESPACE} from './environment';
import type {Followed} from './kubectl';
import {follow} from './kubectl';

/** What the agents print, from now on. */
export class EventLog {
  readonly events: ScopeEvent[] = [];
  private readonly command: Followed;

  constructor() {
    const selector = `app.kubernetes.io/component=agent,app.kubernetes.io/instance=${RELEASE}`;
    const args = ['logs', '-n', SYSTEM_NAMESPACE, '-l', selector, '-f', '--since=1s', '--tail=-1'];
    this.command = follow(args, line => {
      // The agent's own log lines come through standard error, which Kubernetes puts into the same stream.
      const parsed = JSON.parse(line) as Partial<ScopeEvent>;
      if (parsed.event !== undefined) this.events.push(parsed as ScopeEvent);
    });
  }

  exchanges(path: string): readonly ScopeEvent[] {
    return this.events.filter(
      ({event, attributes}) =>
        event === 'http.exchange' && attributes['url.path'] === path && attributes['scope.http.role'] === 'server',
    );
  }

  /** Waits until as many server-side exchanges of that path have been seen, then a little longer for any too many. */
  async untilExchanges(path: string, count: number): Promise<readonly ScopeEvent[]> {
    await until(`${count} exchanges of ${path}`, 60_000, () =>
      Promise.resolve(this.exchanges(path).length >= count || undefined),
    ).catch((error: unknown) => {
      const seen = JSON.stringify(this.events.slice(-5), undefined, 1);
      throw new Error(`${String(error)}; ${this.exchanges(path).length} came. Last events: ${seen}`);
    });
    await new Promise(resolve => setTimeout(resolve, 500));
    return this.exchanges(path);
  }

  close(): Promise<void> {
    return this.command.stop();
  }
}

/** Server-side exchanges of that path that are at the collector now. */
export const collectedExchanges = (path: string): readonly CollectedRecord[] =>
  collected().filter(
    ({eventName, attributes}) =>
      eventName === 'http.exchange' && attributes['url.path'] === path && attributes['scope.http.role'] === 'server',
  );

/** Waits until as many server-side exchanges of that path are at the collector, then a little longer for any too many. */
export async function untilCollected(path: string, count: number): Promise<readonly CollectedRecord[]> {
  await until(`${count} exchanges of ${path} at the collector`, 60_000, () =>
    Promise.resolve(collectedExchanges(path).length >= count || undefined),
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; ${collectedExchanges(path).length} came`);
  });
  await new Promise(resolve => setTimeout(resolve, 500));
  return collectedExchanges(path);
}

type AttributeList = readonly {readonly key: string; readonly value: Readonly<Record<string, unknown>>}[];

interface LogsRequest {
  readonly resourceLogs?: readonly {
    readonly resource?: {readonly attributes?: AttributeList};
    readonly scopeLogs?: readonly {
      readonly logRecords?: readonly {readonly eventName?: string; readonly attributes?: AttributeList}[];
    }[];
  }[];
}

export interface CollectedRecord {
  readonly eventName: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** Every log record that the collector has written so far (OTLP JSON, one request a line). */
export function collected(): readonly CollectedRecord[] {
  const lines = readFileSync(collectorFile(), 'utf8').split('\n');
  // The last line may be half written.
  const requests = lines.slice(0, -1).map(line => JSON.parse(line) as LogsRequest);
  return requests
    .flatMap(({resourceLogs = []}) => resourceLogs)
    .flatMap(({resource, scopeLogs = []}) =>
      scopeLogs
        .flatMap(({logRecords = []}) => logRecords)
        .map(({eventName = '', attributes = []}) => ({
          eventName,
          attributes: flat(attributes),
          resource: flat(resource?.attributes ?? []),
        })),
    );
}

function flat(attributes: AttributeList): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({key, value}) => [key, Object.values(value)[0]]));
}
