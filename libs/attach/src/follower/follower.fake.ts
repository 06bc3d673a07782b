import type {ScopeError} from '@scope/core';
import type {FollowOptions, Follower, FollowerEvent, Following} from './follower.port';

/** Follows nothing: tests say what happens, and see what was asked, as "follow 7", "go 8", "release 8", "close 7". */
export class FakeFollower implements Follower {
  readonly calls: string[] = [];
  /** Thrown by the next `follow`, once. */
  refusal: ScopeError | undefined;
  /** Tells of an event; of the latest that was followed. */
  tell: (event: FollowerEvent) => void = () => undefined;
  /** Ends the latest, unasked. */
  die: (error: ScopeError) => void = () => undefined;

  follow({pid}: FollowOptions, on: (event: FollowerEvent) => void): Promise<Following> {
    this.calls.push(`follow ${pid}`);
    const {refusal} = this;
    this.refusal = undefined;
    if (refusal !== undefined) return Promise.reject(refusal);
    this.tell = on;
    let end: (error: ScopeError | undefined) => void = () => undefined;
    const ended = new Promise<ScopeError | undefined>(resolve => {
      end = resolve;
    });
    this.die = end;
    return Promise.resolve({
      ended,
      go: child => {
        this.calls.push(`go ${child}`);
      },
      release: child => {
        this.calls.push(`release ${child}`);
        return Promise.resolve();
      },
      close: () => {
        this.calls.push(`close ${pid}`);
        end(undefined);
        return Promise.resolve();
      },
    });
  }
}
