import type {Reason} from '@scope/api';
import {isReason} from '@scope/api';
import type {Disposition} from './reason-table';
import {REASON_TABLE} from './reason-table';

export interface ScopeErrorOptions {
  readonly cause?: unknown;
  /** Facts for machines: pid, path, errno… Never a payload. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What to do, where it is known better than in the table. */
  readonly advice?: string;
}

/** How an error travels between processes: the socket's answers, status messages, the injector's last line. */
export interface ScopeErrorView {
  readonly reason: Reason;
  readonly message: string;
  readonly advice: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error of this program. `message` says what was tried, on what, and why it failed; `advice` what to do.
 * It crosses a boundary once: there it is logged and turned into a condition, an answer or an exit code.
 */
export class ScopeError extends Error {
  override readonly name = 'ScopeError';
  readonly reason: Reason;
  readonly details: Readonly<Record<string, unknown>>;
  readonly advice: string;

  constructor(reason: Reason, message: string, options: ScopeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : {cause: options.cause});
    this.reason = reason;
    this.details = options.details ?? {};
    this.advice = options.advice ?? REASON_TABLE[reason].advice;
  }

  get disposition(): Disposition {
    return REASON_TABLE[this.reason].disposition;
  }

  get exitCode(): number {
    return REASON_TABLE[this.reason].exitCode;
  }

  /** What was tried and why it failed, then what to do: for people. */
  get text(): string {
    return this.advice === '' ? this.message : `${this.message}\n${this.advice}`;
  }

  toView(): ScopeErrorView {
    return {
      reason: this.reason,
      message: this.message,
      advice: this.advice,
      ...(Object.keys(this.details).length > 0 && {details: this.details}),
    };
  }

  /** The error that `view` describes; undefined when `view` is something else. */
  static fromView(view: unknown): ScopeError | undefined {
    if (typeof view !== 'object' || view === null) return undefined;
    const {reason, message, advice, details} = view as Record<string, unknown>;
    if (!isReason(reason) || typeof message !== 'string') return undefined;
    return new ScopeError(reason, message, {
      ...(typeof advice === 'string' && {advice}),
      ...(typeof details === 'object' && details !== null && {details: details as Record<string, unknown>}),
    });
  }

  /** `thrown` itself when it is one of ours, else an InternalError that carries it as its cause. */
  static of(thrown: unknown, doing = 'Unexpected failure'): ScopeError {
    if (thrown instanceof ScopeError) return thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    return new ScopeError('InternalError', `${doing}: ${why}`, {cause: thrown});
  }
}

/** The `code` of a Node system error (ENOENT, EACCES…), undefined for anything else. */
export function errnoOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined;
  const {code} = thrown as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : undefined;
}
