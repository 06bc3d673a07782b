import type {Clock} from '@scope/core';
import {systemClock} from '@scope/core';
import type {Addon, AddonHub} from './addon.port';
import {BATCH_END} from './addon.port';
import type {SessionSource} from './addon-session';
import {AddonSession} from './addon-session';
import {parseRefusal, parseSummary} from './decoder-reply.parser';
import type {NativeConfig, NativeHub, NativeSession} from './native-hub.port';

interface Unacknowledged {
  /** Undefined: nobody's any more. */
  readonly session: AddonSession | undefined;
  count: number;
}

/** The decoder looks at its rings every 1 to 10 ms: asking more often tells nothing new. */
const PAUSE_MS = 2;

/**
 * The addon's hub behind our port: gives each batch to the session that it belongs to.
 *
 * Batches are acknowledged after the turn of the event loop in which they came, and when the session's receiver has room.
 * So one turn takes no more of them than the decoder lets wait, however fast it is, whatever else this program does gets
 * its turn, and a burst waits in the ring instead of being dropped here.
 */
export class DecoderHub implements NativeHub, SessionSource {
  private readonly hub: AddonHub;
  private readonly open_ = new Map<number, AddonSession>();
  /** Of this turn, by session. */
  private unacknowledged = new Map<number, Unacknowledged>();
  private taken = 0;

  constructor(
    addon: Addon,
    private readonly clock: Pick<Clock, 'sleep'> = systemClock,
  ) {
    this.hub = new addon.Hub((session, kind, bytes, events, summary) => {
      this.taken += 1;
      this.acknowledgeLater(session);
      this.dispatch(session, kind, bytes, events, summary);
    });
  }

  open(config: NativeConfig): NativeSession {
    const reply = this.hub.open(JSON.stringify(config));
    if (typeof reply === 'string') throw parseRefusal(reply);
    const session = new AddonSession(reply, this, config.cursor !== undefined);
    this.open_.set(reply, session);
    return session;
  }

  stats(session: number): string | undefined {
    return this.hub.stats(session);
  }

  close(session: number): boolean {
    return this.hub.close(session);
  }

  flush(session: number): number {
    return this.hub.flush(session);
  }

  free(bytes: Buffer): void {
    this.hub.free(bytes);
  }

  pause(): Promise<void> {
    return this.clock.sleep(PAUSE_MS);
  }

  async settled(): Promise<void> {
    const queued = this.hub.queued();
    while (this.taken < queued) await this.pause();
  }

  private acknowledgeLater(id: number): void {
    const {unacknowledged} = this;
    if (unacknowledged.size === 0) {
      setImmediate(() => {
        this.unacknowledged = new Map();
        for (const [session, of] of unacknowledged) this.acknowledge(session, of);
      });
    }
    const known = unacknowledged.get(id);
    if (known === undefined) unacknowledged.set(id, {session: this.open_.get(id), count: 1});
    else known.count += 1;
  }

  private acknowledge(id: number, {session, count}: Unacknowledged): void {
    const go = (): void => {
      for (let n = 0; n < count; n += 1) this.hub.ack(id);
    };
    const room = session?.whenRoom();
    if (room === undefined) go();
    else void room.then(go, go);
  }

  private dispatch(id: number, kind: number, bytes: Buffer, events: number, summary: string): void {
    const session = this.open_.get(id);
    if (session === undefined) return;
    if (kind === BATCH_END) {
      this.open_.delete(id);
      session.end(bytes.toString('utf8'));
    } else {
      session.take(bytes, events, parseSummary(summary));
    }
  }
}
