import type {ScopeError} from '@scope/core';
import type {InjectorReport} from '../injector/injector.port';

export interface FollowOptions {
  /** A scoped process. */
  readonly pid: number;
  readonly console?: boolean;
  readonly timing?: boolean;
  readonly captureBytes?: number;
}

/** How a process came to be scoped: it was forked, or it executed a program. */
export type ChildCause = 'birth' | 'exec';

/** What happened to a process that is followed. Pids are as the agent sees them. */
export type FollowerEvent =
  /** Scoped; it stands still until `go`, or for two seconds. */
  | {
      readonly event: 'attached';
      readonly pid: number;
      readonly parent: number;
      readonly cause: ChildCause;
      readonly report: InjectorReport;
    }
  /** A scoped one runs another program now, and is not scoped for the moment. */
  | {readonly event: 'exec'; readonly pid: number}
  /** It could not be scoped and runs on without. */
  | {
      readonly event: 'refused';
      readonly pid: number;
      readonly parent: number;
      readonly cause: ChildCause;
      readonly error: ScopeError;
    }
  /** There were as many as may be: it runs on unscoped. `passed`: how many did so far. */
  | {readonly event: 'passed'; readonly pid: number; readonly parent: number; readonly passed: number}
  /** It went on before its `go` came. */
  | {readonly event: 'late'; readonly pid: number}
  | {readonly event: 'ended'; readonly pid: number};

/** A tracer at work. Its death, however sudden, leaves every process that it follows running, scoped as it was. */
export interface Following {
  /** Its ring is read: it may begin. */
  go(pid: number): void;
  /** Resolves when this process is traced no more: then the injector can work on it. Rejects with Timeout. */
  release(pid: number): Promise<void>;
  /** All are let go, and the tracer has ended. Harmless when it has already. */
  close(): Promise<void>;
  /** Resolves with why, when it has ended unasked; with undefined after `close`, or when all that it followed had ended. */
  readonly ended: Promise<ScopeError | undefined>;
}

/** Scopes the children of scoped processes. */
export interface Follower {
  /**
   * Resolves when the process is followed. Rejects with what keeps it from being so: nothing was changed then.
   * `on` is called in order.
   */
  follow(options: FollowOptions, on: (event: FollowerEvent) => void): Promise<Following>;
}
