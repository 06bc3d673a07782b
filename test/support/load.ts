/** What every load generator of the tests can do. Work is counted only when its answer was verified to the byte. */
export interface Load {
  /** Finished and verified so far. */
  readonly done: number;
  /** What went wrong; a test expects none. */
  readonly errors: readonly string[];
  /** Resolves when nothing is on its way any more. */
  pause(): Promise<void>;
  resume(): void;
  close(): Promise<void>;
}

/**
 * `lanes` workers, each of which repeats `step` until it is told to pause. A failing step is noted, and its lane goes on
 * with the next one, so that one fault does not hide the others.
 */
export class Lanes implements Load {
  done = 0;
  readonly errors: string[] = [];
  private readonly steps: readonly (() => Promise<void>)[];
  private running = false;
  private stopped = false;
  private active: Promise<void>[] = [];

  constructor(steps: readonly (() => Promise<void>)[]) {
    this.steps = steps;
    this.resume();
  }

  resume(): void {
    if (this.running || this.stopped) return;
    this.running = true;
    this.active = this.steps.map(step => this.lane(step));
  }

  async pause(): Promise<void> {
    this.running = false;
    await Promise.all(this.active);
    this.active = [];
  }

  async close(): Promise<void> {
    this.stopped = true;
    await this.pause();
  }

  private async lane(step: () => Promise<void>): Promise<void> {
    while (this.running) {
      try {
        await step();
        this.done += 1;
      } catch (thrown) {
        this.errors.push(thrown instanceof Error ? thrown.message : String(thrown));
        if (this.errors.length > 1000) return;
      }
    }
  }
}
