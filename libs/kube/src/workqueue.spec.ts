import {FakeClock} from '@scope/core';
import type {Work} from './workqueue';
import {Workqueue} from './workqueue';

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
};

describe('Workqueue', () => {
  const clock = new FakeClock();
  const backoff = {baseMs: 100, maxMs: 1_000};
  let stop: AbortController;
  let failures: number[];

  beforeEach(() => {
    stop = new AbortController();
    failures = [];
  });
  afterEach(() => {
    stop.abort();
  });

  function start(work: Work, concurrency = 2): Workqueue {
    const onFailure = (_key: string, _error: unknown, ms: number): number => failures.push(ms);
    const queue = new Workqueue(work, {clock, concurrency, backoff, random: () => 1, onFailure});
    queue.start(stop.signal);
    return queue;
  }

  it('never works on one key twice at a time, and once more when it came meanwhile', async () => {
    const finish: (() => void)[] = [];
    const started: string[] = [];
    const queue = start(async key => {
      started.push(key);
      await new Promise<void>(resolve => finish.push(resolve));
      return undefined;
    });
    queue.add('a');
    queue.add('a');
    queue.add('a');
    queue.add('b');
    queue.add('c');
    expect(started).toEqual(['a', 'b']);
    finish[0]?.();
    await settle();
    expect(started).toEqual(['a', 'b', 'a']);
    finish[1]?.();
    await settle();
    expect(started).toEqual(['a', 'b', 'a', 'c']);
  });

  it('tries a failing key again, later each time, and from the start after a success', async () => {
    const answers = [true, true, false, true];
    const queue = start(() =>
      answers.shift() === true ? Promise.reject(new Error('no')) : Promise.resolve(undefined),
    );
    queue.add('a');
    await settle();
    await clock.advance(100);
    await settle();
    await clock.advance(200);
    await settle();
    expect(answers).toEqual([true]);
    queue.add('a');
    await settle();
    expect(failures).toEqual([100, 200, 100]);
  });

  it('comes back when asked to', async () => {
    let calls = 0;
    const queue = start(() => {
      calls += 1;
      return Promise.resolve(calls === 1 ? {againAfterMs: 500} : undefined);
    });
    queue.add('a');
    await settle();
    await clock.advance(499);
    await settle();
    expect(calls).toBe(1);
    await clock.advance(1);
    await settle();
    expect(calls).toBe(2);
  });
});
