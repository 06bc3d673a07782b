/** What the injector is asked to do with one process. */
export interface InjectorOptions {
  readonly pid: number;
  /** Join the process's namespaces first. */
  readonly enter?: boolean;
  readonly console?: boolean;
  /** Durations too. */
  readonly timing?: boolean;
  readonly captureBytes?: number;
  /** attach: take out first what an agent that is gone left there. */
  readonly replace?: boolean;
}

/** The injector's answer to `attach` and `check`, as far as this program reads it. Sizes in bytes. */
export interface InjectorReport {
  readonly abi: number;
  readonly pid: number;
  /** "" in the answer to `check`. */
  readonly startTime: string;
  /** Absent from `check`. */
  readonly ring?: {readonly address: string; readonly bytes: number; readonly mapFile: string};
  readonly target: {
    readonly kind: string;
    readonly libc?: string;
    readonly go?: string;
    readonly executable?: string;
    readonly threads: number;
    /** Found open; what goes through them is not seen. */
    readonly ioUrings: number;
  };
  readonly sites: {
    readonly found: number;
    readonly hooked: number;
    readonly skipped: readonly {readonly reason: string; readonly count: number}[];
  };
  readonly stopMicroseconds: number;
  /** adopt: another build made it: it can be read, and is better replaced. */
  readonly isOfAnotherBuild: boolean;
  /** Everything it said. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/**
 * The only thing that touches a process. Every method rejects with the ScopeError that the injector's reason names, or
 * Timeout (it was killed, which never harms the target; call `detach` to mend), NotBuilt, InternalError.
 */
export interface Injector {
  /** What `attach` would do; changes nothing. */
  check(options: InjectorOptions, signal?: AbortSignal): Promise<InjectorReport>;
  attach(options: InjectorOptions, signal?: AbortSignal): Promise<InjectorReport>;
  /**
   * Takes over a scope that nobody reads any more, without touching the process. NotScoped when there is none; ABIMismatch
   * when another version made it.
   */
  adopt(options: InjectorOptions, signal?: AbortSignal): Promise<InjectorReport>;
  /** Resolves also when something was only mended. NotScoped when there is nothing to do. */
  detach(options: InjectorOptions, signal?: AbortSignal): Promise<void>;
  /** What is hooked now. */
  inspect(options: InjectorOptions, signal?: AbortSignal): Promise<Readonly<Record<string, unknown>>>;
}
