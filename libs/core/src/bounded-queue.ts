export interface QueueStats {
  /** Weight of what waits, in the unit that the queue was made with (bytes or items). */
  readonly depth: number;
  readonly capacity: number;
  /** Number of items refused since the start. */
  readonly dropped: number;
}

/**
 * First in, first out, bounded by weight. What does not fit is refused and counted, never silently lost.
 *
 *   push ──▶ [ item weight 3 | item weight 1 | … ] ──▶ shift      depth = sum of weights ≤ capacity
 *
 * A single item heavier than the capacity is taken only into an empty queue, so that it can not block for ever.
 */
export class BoundedQueue<T> {
  private items: {item: T; weight: number}[] = [];
  private head = 0;
  private depth = 0;
  private dropped = 0;

  constructor(private readonly capacity: number) {}

  /** False when it did not fit; `count` is what `dropped` grows by then (a batch counts its events). */
  push(item: T, weight = 1, count = 1): boolean {
    if (this.depth > 0 && this.depth + weight > this.capacity) {
      this.dropped += count;
      return false;
    }
    this.items.push({item, weight});
    this.depth += weight;
    return true;
  }

  shift(): T | undefined {
    const entry = this.items[this.head];
    if (entry === undefined) return undefined;
    this.head += 1;
    this.depth -= entry.weight;
    if (this.head > 64 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return entry.item;
  }

  get length(): number {
    return this.items.length - this.head;
  }

  stats(): QueueStats {
    return {depth: this.depth, capacity: this.capacity, dropped: this.dropped};
  }
}
