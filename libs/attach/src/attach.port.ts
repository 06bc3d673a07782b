import type {Observable} from 'rxjs';
import type {AttachRequest, SessionView} from './session';

/**
 * Attaches to processes and lets go of them. An abstract class so that it is both the type and Nest's token:
 * `constructor(private readonly attach: AttachService)`.
 */
export abstract class AttachService {
  /**
   * Resolves once the process is Scoped. When it is already scoped for other owners, joins them; for the same owner
   * rejects with AlreadyScoped. Any other ScopeError: nothing was left behind in the process.
   */
  abstract attach(request: AttachRequest): Promise<SessionView>;

  /**
   * Withdraws `owner`'s claim, or everyone's when no owner is given. The last claim withdrawn detaches: resolves when
   * the process runs its own code again. Rejects with NoSuchSession, or NotScoped when it has ended already.
   */
  abstract detach(sessionId: string, owner?: string): Promise<SessionView>;

  /** Every live session and the last few ended ones, oldest first. */
  abstract sessions(): readonly SessionView[];

  /** The session that has this id; undefined when there is none (any more). */
  abstract session(id: string): SessionView | undefined;

  /** A snapshot at each change of state, owners or problems. Not of counts. Never errors. */
  abstract readonly changes$: Observable<SessionView>;
}
