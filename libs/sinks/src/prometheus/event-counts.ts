import {EVENT_NAMES} from '@scope/api';
import type {BatchSummary, EventBatch} from '@scope/core';
import {eventNameAt, forEachLine} from '@scope/core';

const KNOWN: ReadonlySet<string> = new Set(EVENT_NAMES);

/** Events by name; a name that is not on the closed list counts as "other". */
export class EventCounts {
  private readonly counts = new Map<string, number>();

  addAll(events: BatchSummary['events']): void {
    for (const [name, count] of Object.entries(events)) this.increment(KNOWN.has(name) ? name : 'other', count);
  }

  /** Also calls `visit` for each line, so that a batch is walked once. */
  add({lines}: EventBatch, visit?: (name: string, start: number, end: number) => void): void {
    forEachLine(lines, (start, end) => {
      const found = eventNameAt(lines, start, end);
      const name = KNOWN.has(found) ? found : 'other';
      this.increment(name);
      visit?.(name, start, end);
    });
  }

  increment(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries([...this.counts].sort(([a], [b]) => a.localeCompare(b)));
  }
}
