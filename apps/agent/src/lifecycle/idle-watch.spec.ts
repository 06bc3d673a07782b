import type {SessionView} from '@scope/attach';
import {FakeClock} from '@scope/core';
import {Subject} from 'rxjs';
import {IdleWatch} from './idle-watch';

function setUp() {
  const clock = new FakeClock();
  const changes$ = new Subject<SessionView>();
  const sessions = {live: 0, liveCount: () => sessions.live, changes$};
  let ends = 0;
  const watch = new IdleWatch({sessions, clock, graceMs: 3000, idle: () => (ends += 1)});
  const change = (live: number): void => {
    sessions.live = live;
    changes$.next({} as SessionView);
  };
  return {clock, change, watch, ends: () => ends};
}

describe('IdleWatch', () => {
  it('gives a new agent a minute for its first session', async () => {
    const {clock, ends} = setUp();
    await clock.advance(59_999);
    expect(ends()).toBe(0);
    await clock.advance(1);
    expect(ends()).toBe(1);
    await clock.advance(600_000);
    expect(ends()).toBe(1);
  });

  it('ends after the grace period that follows the last session', async () => {
    const {clock, change, ends} = setUp();
    change(1);
    await clock.advance(600_000);
    change(2);
    change(1);
    await clock.advance(600_000);
    expect(ends()).toBe(0);
    change(0);
    await clock.advance(2999);
    expect(ends()).toBe(0);
    await clock.advance(250);
    expect(ends()).toBe(1);
  });

  it('has seen a session that began and ended between two of its looks', async () => {
    const {clock, change, ends} = setUp();
    await clock.advance(10);
    change(1);
    await clock.advance(100);
    change(0);
    await clock.advance(3500);
    expect(ends()).toBe(1);
  });

  it('once closed it never calls', async () => {
    const {clock, change, watch, ends} = setUp();
    change(1);
    change(0);
    watch.close();
    await clock.advance(600_000);
    expect(ends()).toBe(0);
  });
});
