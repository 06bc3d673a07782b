import type {Clock} from './clock.port';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

interface Ticker {
  readonly everyMs: number;
  readonly tick: () => void;
  next: number;
}

/** A clock that moves only when told: `advance` wakes what is due, in order. */
export class FakeClock implements Clock {
  private sleepers: Sleeper[] = [];
  private readonly tickers = new Set<Ticker>();

  constructor(private time = 0) {}

  now(): number {
    return this.time;
  }

  monotonicMs(): number {
    return this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const interrupt = (): void => {
        reject(new Error('aborted', {cause: signal?.reason}));
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', interrupt);
        resolve();
      };
      if (signal?.aborted === true) {
        interrupt();
        return;
      }
      signal?.addEventListener('abort', interrupt, {once: true});
      this.sleepers.push({at: this.time + ms, wake});
    });
  }

  every(ms: number, tick: () => void): () => void {
    const ticker = {everyMs: ms, tick, next: this.time + ms};
    this.tickers.add(ticker);
    return () => {
      this.tickers.delete(ticker);
    };
  }

  /** How many are asleep: lets a test wait until the code under test sleeps. */
  get sleeping(): number {
    return this.sleepers.length;
  }

  async advance(ms: number): Promise<void> {
    this.time += ms;
    const due = this.sleepers.filter(({at}) => at <= this.time).sort((a, b) => a.at - b.at);
    this.sleepers = this.sleepers.filter(({at}) => at > this.time);
    for (const {wake} of due) wake();
    for (const ticker of this.tickers) {
      while (ticker.next <= this.time && this.tickers.has(ticker)) {
        ticker.next += ticker.everyMs;
        ticker.tick();
      }
    }
    await Promise.resolve();
  }
}
