import type {EventBatch, EventSink} from '@scope/core';
import type {Observable} from 'rxjs';
import {Subject} from 'rxjs';

/** Every batch of every session, handed to every sink. */
export class EventBus {
  private readonly batches = new Subject<EventBatch>();
  private readonly sinks = new Set<EventSink>();

  get batches$(): Observable<EventBatch> {
    return this.batches.asObservable();
  }

  add(sink: EventSink): void {
    this.sinks.add(sink);
  }

  all(): readonly EventSink[] {
    return [...this.sinks];
  }

  publish(batch: EventBatch): void {
    for (const sink of this.sinks) sink.write(batch);
    this.batches.next(batch);
  }

  async close(): Promise<void> {
    this.batches.complete();
    await Promise.allSettled([...this.sinks].map(sink => sink.close()));
  }
}
