import {ScopeError} from '@scope/core';
import type {Addon, AddonCallback, AddonHub} from './addon.port';
import {ADDON_INTERFACE, BATCH_END, BATCH_EVENTS} from './addon.port';
import {DecoderHub} from './decoder-hub';
import {NO_STATS} from './decoder-reply.parser';
import type {NativeBatch, NativeConfig} from './native-hub.port';

const config: NativeConfig = {
  pid: 7,
  ring: '/ring',
  process: {pid: 7, name: 'web', executable: '/web'},
  capture: {fs: {}},
  progressSeconds: 10,
};

/** Plays the addon: a test says what the decoder hands over, and sees what reaches it. */
class ScriptedHub implements AddonHub {
  reply: number | string = 5;
  statsJson: string | undefined = '{"records":3,"events":2,"lost":{"records":1},"flushed":0}';
  handedOver = 0;
  readonly configs: unknown[] = [];
  readonly acks: number[] = [];
  readonly freed: string[] = [];
  readonly closes: number[] = [];

  constructor(readonly callback: AddonCallback) {}

  open(json: string): number | string {
    this.configs.push(JSON.parse(json));
    return this.reply;
  }

  ack(session: number): void {
    this.acks.push(session);
  }

  free(bytes: Buffer): void {
    this.freed.push(bytes.toString());
  }

  flush(): number {
    return 1;
  }

  stats(): string | undefined {
    return this.statsJson;
  }

  close(session: number): boolean {
    this.closes.push(session);
    return true;
  }

  queued(): number {
    return this.handedOver;
  }

  batch(session: number, text: string, events = 1, summary = ''): void {
    this.callback(session, BATCH_EVENTS, Buffer.from(text), events, summary);
  }

  end(session: number, text: string): void {
    this.callback(session, BATCH_END, Buffer.from(text), 0, '');
  }
}

function setUp(): {hub: DecoderHub; scripted: ScriptedHub; pauses: (() => void)[]} {
  let made: ScriptedHub | undefined;
  const pauses: (() => void)[] = [];
  class Hub extends ScriptedHub {
    constructor(callback: AddonCallback) {
      super(callback);
      // eslint-disable-next-line @typescript-eslint/no-this-alias
      made = this;
    }
  }
  const addon: Addon = {interface: ADDON_INTERFACE, Hub};
  const hub = new DecoderHub(addon, {sleep: () => new Promise(resolve => pauses.push(resolve))});
  if (made === undefined) throw new Error('the hub was not made');
  return {hub, scripted: made, pauses};
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('DecoderHub', () => {
  it('hands the configuration over as JSON', () => {
    const {hub, scripted} = setUp();
    expect(hub.open(config).id).toBe(5);
    expect(scripted.configs).toEqual([config]);
  });

  it.each([
    ['{"reason":"ABIMismatch","message":"the ring is of version 9"}', 'ABIMismatch', 'the ring is of version 9'],
    ['{"reason":"Nonsense","message":"x"}', 'InternalError', /Nonsense/],
    ['not json', 'InternalError', /not json/],
  ])('turns the refusal %s into a ScopeError', (reply, reason, message) => {
    const {hub, scripted} = setUp();
    scripted.reply = reply;
    let thrown: unknown;
    try {
      hub.open(config);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ScopeError);
    expect(thrown).toMatchObject({reason, message: expect.stringMatching(message) as string});
  });

  it('gives every batch to its own session, in order', () => {
    const {hub, scripted} = setUp();
    const seen: NativeBatch[] = [];
    hub.open(config).batches$.subscribe(batch => seen.push(batch));
    scripted.reply = 6;
    hub.open(config).batches$.subscribe(batch => seen.push(batch));
    scripted.batch(6, 'a\nb\n', 2);
    scripted.batch(5, 'c\n');
    scripted.batch(99, 'of nobody\n');
    expect(seen.map(({session, events, lines}) => [session, events, lines.toString()])).toEqual([
      [6, 2, 'a\nb\n'],
      [5, 1, 'c\n'],
    ]);
  });

  it('gives a summary with the lines, where there is one that can be read', () => {
    const {hub, scripted} = setUp();
    const seen: NativeBatch[] = [];
    hub.open(config).batches$.subscribe(batch => seen.push(batch));
    const summary = {events: {'http.exchange': 1}, exchanges: [{role: 'server', method: 'GET', status: 200, ns: [5]}]};
    for (const json of [JSON.stringify(summary), '', '{"events":']) scripted.batch(5, 'a\n', 1, json);
    expect(seen.map(batch => batch.summary)).toEqual([summary, undefined, undefined]);
  });

  it('gives a batch’s memory back when the last who holds it lets go', () => {
    const {hub, scripted} = setUp();
    const held: NativeBatch[] = [];
    hub.open(config).batches$.subscribe(batch => {
      if (batch.lines.toString() === 'a\n') return;
      batch.loan?.hold();
      held.push(batch);
    });
    scripted.batch(5, 'a\n');
    scripted.batch(5, 'b\n');
    expect(scripted.freed).toEqual(['a\n']);
    held[0]?.loan?.release();
    expect(scripted.freed).toEqual(['a\n', 'b\n']);
  });

  it('acknowledges every batch, but only after the turn in which it came', async () => {
    const {hub, scripted} = setUp();
    hub.open(config);
    scripted.batch(5, 'a\n');
    scripted.batch(99, 'b\n');
    scripted.end(5, '{}');
    expect(scripted.acks).toEqual([]);
    await turn();
    expect(scripted.acks).toEqual([5, 5, 99]);
    scripted.batch(99, 'c\n');
    await turn();
    expect(scripted.acks).toEqual([5, 5, 99, 99]);
  });

  it('acknowledges what a session took once its receiver has room, and the others’ meanwhile', async () => {
    const {hub, scripted} = setUp();
    const gates: (() => void)[] = [];
    hub.open(config).paceBy(() => new Promise(resolve => gates.push(resolve)));
    scripted.reply = 6;
    hub.open(config).paceBy(() => undefined);
    scripted.batch(5, 'a\n');
    scripted.batch(6, 'b\n');
    scripted.batch(5, 'c\n');
    await turn();
    expect(scripted.acks).toEqual([6]);
    expect(gates).toHaveLength(1);
    gates[0]?.();
    await turn();
    expect(scripted.acks).toEqual([6, 5, 5]);
  });

  it('ends with the reason, the message and the last counts', async () => {
    const {hub, scripted} = setUp();
    const session = hub.open(config);
    let completed = false;
    session.batches$.subscribe({complete: () => (completed = true)});
    const closing = session.close();
    expect(scripted.closes).toEqual([5]);
    scripted.end(5, '{"reason":"exited","message":"it ended","stats":{"records":9,"events":8,"lost":{"readBytes":7}}}');
    const stats = {...NO_STATS, records: 9, events: 8, lost: {readBytes: 7}};
    await expect(closing).resolves.toEqual({reason: 'exited', message: 'it ended', stats});
    expect(completed).toBe(true);
    expect(session.stats()).toEqual(stats);
    await expect(session.close()).resolves.toEqual(await session.ended);
    expect(scripted.closes).toEqual([5]);
  });

  it('calls an end that it can not read an error', async () => {
    const {hub, scripted} = setUp();
    const session = hub.open(config);
    scripted.end(5, '{"reason":"?"}');
    await expect(session.ended).resolves.toMatchObject({
      reason: 'error',
      message: expect.stringContaining('"?"') as string,
    });
  });

  it('keeps the last counts where the decoder has none', () => {
    const {hub, scripted} = setUp();
    const session = hub.open(config);
    expect(session.stats()).toEqual({...NO_STATS, records: 3, events: 2, lost: {records: 1}});
    scripted.statsJson = undefined;
    expect(session.stats().records).toBe(3);
  });

  it('has flushed when the decoder says so and everything handed over was taken', async () => {
    const {hub, scripted, pauses} = setUp();
    const session = hub.open(config);
    let done = false;
    const flushed = session.flush().then(() => (done = true));
    await turn();
    expect(pauses).toHaveLength(1);
    scripted.statsJson = '{"flushed":1}';
    scripted.handedOver = 1;
    pauses[0]?.();
    await turn();
    expect(done).toBe(false);
    scripted.batch(5, 'late\n');
    pauses[1]?.();
    await flushed;
    expect(done).toBe(true);
  });

  it('has flushed when the session ends meanwhile', async () => {
    const {hub, scripted, pauses} = setUp();
    const session = hub.open(config);
    const flushed = session.flush();
    await turn();
    scripted.end(5, '{"reason":"exited","stats":{}}');
    pauses[0]?.();
    await expect(flushed).resolves.toBeUndefined();
    await expect(session.flush()).resolves.toBeUndefined();
  });
});
