/** The API server, or the way to it, refused a request. `status` is 0 when no answer came. */
export class KubeRequestError extends Error {
  override readonly name = 'KubeRequestError';

  constructor(
    /** HTTP status, 0 for a broken or silent connection. */
    readonly status: number,
    message: string,
    /** The Status object's reason: NotFound, AlreadyExists, Conflict, Expired… */
    readonly kubeReason?: string,
    /** What the server asked us to wait (Retry-After), in milliseconds. */
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export const isNotFound = (thrown: unknown): boolean => thrown instanceof KubeRequestError && thrown.status === 404;
export const isConflict = (thrown: unknown): boolean => thrown instanceof KubeRequestError && thrown.status === 409;
/** The resourceVersion is too old to go on from. */
export const isExpired = (thrown: unknown): boolean => thrown instanceof KubeRequestError && thrown.status === 410;
