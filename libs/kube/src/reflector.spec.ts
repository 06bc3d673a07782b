import type {Clock} from '@scope/core';
import {FakeClock} from '@scope/core';
import {KubeClient} from './kube-client';
import type {Pod} from './kube-object';
import type {ReflectorEvent} from './reflector';
import {Reflector} from './reflector';
import {resourceTypes} from './resource-type';
import {json, ScriptedServer, status, watch} from './scripted-server.fake';

const pod = (name: string, resourceVersion: string, uid = name): Pod => ({
  metadata: {name, namespace: 'shop', uid, resourceVersion},
});
const list = (resourceVersion: string, ...items: readonly Pod[]): unknown => ({metadata: {resourceVersion}, items});
const event = (type: string, object: unknown): unknown => ({type, object});

/** Sleeps are written down and over at once: the order of requests is what is tested, not the waiting. */
class NotingClock extends FakeClock implements Clock {
  readonly sleeps: number[] = [];

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(ms);
    await Promise.resolve();
  }
}

describe('Reflector', () => {
  let server: ScriptedServer;
  let client: KubeClient;
  let clock: NotingClock;
  let stop: AbortController;
  let running: Promise<void>;
  let seen: string[];
  let restarts: string[];

  beforeEach(async () => {
    server = await ScriptedServer.start();
    client = new KubeClient(server.connection);
    clock = new NotingClock();
    stop = new AbortController();
    seen = [];
    restarts = [];
  });

  afterEach(async () => {
    stop.abort();
    await running;
    client.close();
    await server.close();
  });

  /** Runs until `done` says that enough has been seen. */
  async function run(done: () => boolean, options: {fieldSelector?: string} = {}): Promise<Reflector<Pod>> {
    const reflector = new Reflector<Pod>(client, resourceTypes.pods, {
      ...options,
      clock,
      random: () => 0.5,
      onRestart: ({reason}) => restarts.push(reason),
    });
    const enough = new Promise<void>(resolve => {
      const check = (): void => {
        if (done()) resolve();
      };
      reflector.events$.subscribe(change => {
        seen.push(describeEvent(change));
        check();
      });
    });
    running = reflector.run(stop.signal);
    await enough;
    return reflector;
  }

  it('lists, then watches from the list’s version with bookmarks and a field selector', async () => {
    server.script(
      json(list('10', pod('a', '5'))),
      watch([event('ADDED', pod('b', '11')), event('MODIFIED', pod('a', '12')), event('DELETED', pod('b', '13'))]),
    );
    const reflector = await run(() => seen.includes('Deleted shop/b'), {fieldSelector: 'spec.nodeName=n1'});
    expect(seen).toEqual(['Added shop/a', 'Synced', 'Added shop/b', 'Modified shop/a', 'Deleted shop/b']);
    expect(reflector.list().map(object => object.metadata.resourceVersion)).toEqual(['12']);
    const [listing, watching] = server.requests;
    expect(listing?.path).toBe('/api/v1/pods');
    expect(listing?.query.get('fieldSelector')).toBe('spec.nodeName=n1');
    expect(Object.fromEntries(watching?.query ?? [])).toMatchObject({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '10',
      timeoutSeconds: '440',
      fieldSelector: 'spec.nodeName=n1',
    });
  });

  it('reads every page of a list', async () => {
    server.script(
      json({metadata: {resourceVersion: '10', continue: 'more'}, items: [pod('a', '1')]}),
      json(list('10', pod('b', '2'))),
      watch([]),
    );
    await run(() => seen.includes('Synced'));
    expect(seen).toEqual(['Added shop/a', 'Added shop/b', 'Synced']);
    expect(server.requests[1]?.query.get('continue')).toBe('more');
  });

  it('goes on from a bookmark after a clean end, without listing, and after a pause', async () => {
    server.script(
      json(list('10')),
      watch([event('BOOKMARK', {metadata: {resourceVersion: '50'}})], 'end'),
      watch([event('ADDED', pod('a', '51'))]),
    );
    await run(() => seen.includes('Added shop/a'));
    expect(server.requests.map(request => request.query.get('resourceVersion'))).toEqual(['0', '10', '50']);
    expect(clock.sleeps).toEqual([400]);
  });

  it('goes on from the last version when the connection breaks', async () => {
    server.script(
      json(list('10')),
      watch([event('ADDED', pod('a', '11'))], 'break'),
      watch([event('ADDED', pod('b', '12'))]),
    );
    await run(() => seen.includes('Added shop/b'));
    expect(server.requests[2]?.query.get('resourceVersion')).toBe('11');
    expect(restarts).toEqual(['ConnectionLost']);
  });

  it.each([
    ['as an answer', status(410, 'too old', 'Expired')],
    ['as an event', watch([event('ERROR', {code: 410, message: 'too old', reason: 'Expired'})])],
    ['as a line that is no event', watch(['{"type":"ADD\n'])],
  ])('lists anew after 410 %s and tells what vanished meanwhile', async (_how, gone) => {
    server.script(json(list('10', pod('a', '1'), pod('b', '2'))), gone, json(list('90', pod('b', '3'))), watch([]));
    await run(() => seen.filter(text => text === 'Synced').length === 2);
    expect(seen.slice(3)).toEqual(['Deleted shop/a', 'Modified shop/b', 'Synced']);
    // Not from the cache, which may be what is behind.
    expect(server.requests[2]?.query.get('resourceVersion')).toBeNull();
  });

  it('tells the end of an object that was made anew under the same name', async () => {
    server.script(
      json(list('10', pod('a', '1', 'old'))),
      status(410, 'too old'),
      json(list('20', pod('a', '15', 'new'))),
      watch([]),
    );
    await run(() => seen.filter(text => text === 'Synced').length === 2);
    expect(seen).toEqual(['Added shop/a', 'Synced', 'Deleted shop/a', 'Added shop/a', 'Synced']);
  });

  it('never gives up, waits longer each time, and honours Retry-After', async () => {
    server.script(
      status(500, 'no'),
      status(500, 'no'),
      status(429, 'slow down', 'TooManyRequests', {'retry-after': '7'}),
      json(list('1')),
      watch([]),
    );
    await run(() => seen.includes('Synced'));
    expect(clock.sleeps).toEqual([400, 800, 7000]);
  });

  it('uses one connection for lists and one for watches', async () => {
    server.script(json(list('1')), watch([], 'end'), watch([], 'end'), watch([event('ADDED', pod('a', '2'))]));
    await run(() => seen.includes('Added shop/a'));
    expect(server.connections).toBe(2);
  });

  it('keeps no managedFields', async () => {
    const fat = {...pod('a', '1'), metadata: {...pod('a', '1').metadata, managedFields: [{manager: 'x'}]}};
    server.script(json(list('1', fat)), watch([]));
    const reflector = await run(() => seen.includes('Synced'));
    expect(reflector.get('shop/a')?.metadata).toEqual(pod('a', '1').metadata);
  });
});

function describeEvent(event: ReflectorEvent<Pod>): string {
  return event.type === 'Synced' ? 'Synced' : `${event.type} ${event.key}`;
}
