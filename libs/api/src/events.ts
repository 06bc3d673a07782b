/** The events of one scoped process: a closed list of names. `scope.*` are about the stream itself. */
export const EVENT_NAMES = [
  'process.scoped',
  'process.unscoped',
  'process.fork',
  'process.exec',
  'process.exit',
  'fs.open',
  'fs.io',
  'fs.close',
  'fs.delete',
  'fs.rename',
  'fs.error',
  'net.listen',
  'net.open',
  'net.io',
  'net.close',
  'net.error',
  'dns.query',
  'http.exchange',
  'console.line',
  'scope.lost',
] as const;

export type EventName = (typeof EVENT_NAMES)[number];

/**
 * Whose event it is, made once per session and copied verbatim into each of its events.
 * `pid` is as the agent sees it (the host's PID namespace).
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** The kernel's short name (comm, at most 15 bytes). */
  readonly name: string;
  /** Path of the executable as the process sees it. */
  readonly executable: string;
  readonly container?: string;
  readonly containerId?: string;
  readonly image?: string;
  readonly pod?: string;
  readonly podUid?: string;
  readonly namespace?: string;
  readonly node?: string;
  /** Name, and kind in lower case, of the workload that owns the pod: deployment, statefulset, … */
  readonly workload?: string;
  readonly workloadKind?: string;
  /** What traces and logs call it (OpenTelemetry service.name), where known better than by the names above. */
  readonly service?: string;
}

export type AttributeValue = string | number | boolean | readonly string[] | readonly number[] | readonly boolean[];

/** One line of any stream: stdout, history, live, OTLP. */
export interface ScopeEvent {
  /** RFC 3339 with nanoseconds, UTC. */
  readonly time: string;
  readonly event: EventName;
  readonly process: ProcessIdentity;
  /** OpenTelemetry semantic-convention names; own ones start with `scope.`. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** What was dropped since the event before: present only when something was. */
  readonly lost?: Readonly<Record<string, number>>;
}

/** What a session looks at. Absent means off. */
export interface CaptureOptions {
  readonly fs?: FsCapture;
  readonly net?: Record<string, never>;
  readonly dns?: Record<string, never>;
  readonly http?: HttpCapture;
  readonly console?: ConsoleCapture;
}

export interface FsCapture {
  /** Globs over paths. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /**
   * How long calls took, too: of opening, deleting and renaming, and of reading and writing, sockets included. It costs a
   * second hook and two records per call.
   */
  readonly timing?: boolean;
}

export interface HttpCapture {
  /** Lower-case names of headers that events carry. */
  readonly headers?: readonly string[];
  /** Of those, the ones whose values are replaced. */
  readonly redact?: readonly string[];
}

export interface ConsoleCapture {
  readonly mode: 'Disabled' | 'Lines';
}

/** What is captured when nobody says otherwise: everything that shows no content. */
export const DEFAULT_CAPTURE: CaptureOptions = {fs: {}, net: {}, dns: {}, http: {}};
