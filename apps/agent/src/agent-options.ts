import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {ScopeError} from '@scope/core';
import {z} from 'zod';

/** How this agent was started: flags first, then the environment. */
export interface AgentOptions {
  readonly socketPath: string;
  /** Beside the socket: what survives a crash. */
  readonly stateDirectory: string;
  readonly injectorPath: string;
  /** Children of one process that are scoped at a time at most. */
  readonly mostChildren: number;
  /** Size of a ring, of which a process has one for each processor; absent: the injector's own. */
  readonly ringBytes?: number;
  /** Live on when there is no session. */
  readonly keep: boolean;
  /** Without `keep`: how long it waits for another session. */
  readonly graceMs: number;
  /** Set: this is a node's agent in Kubernetes. */
  readonly nodeName?: string;
  /** The set that makes the agents of all nodes. */
  readonly daemonSet?: {readonly namespace: string; readonly name: string};
  readonly stdoutEvents: boolean;
  readonly otlpEndpoint?: string;
  /** TCP, all interfaces: probes and GET /metrics. */
  readonly healthPort?: number;
  readonly build: {readonly version: string; readonly revision: string};
}

export const DEFAULT_SOCKET = '/run/scope/agent.sock';
const GRACE_MS = 3000;
const MOST_CHILDREN = 64;

const schema = z.object({
  socket: z.string().min(1).max(107, 'a unix socket’s path has at most 107 bytes'),
  injector: z.string().min(1),
  mostChildren: z.coerce.number().int().min(1).max(4096),
  // The injector's own bounds.
  ringBytes: z.coerce
    .number()
    .int()
    .min(64 << 10)
    .max(64 << 20)
    .refine(bytes => (bytes & (bytes - 1)) === 0, 'must be a power of two')
    .optional(),
  keep: z.boolean(),
  graceSeconds: z.coerce.number().min(0).max(3600),
  nodeName: z.string().min(1).optional(),
  daemonSet: z
    .stringFormat('NAMESPACE/NAME', /^[^/]+\/[^/]+$/)
    .transform(text => text.split('/'))
    .transform(([namespace = '', name = '']) => ({namespace, name}))
    .optional(),
  stdoutEvents: z.boolean(),
  otlpEndpoint: z.string().min(1).optional(),
  healthPort: z.coerce.number().int().min(0).max(65_535).optional(),
});

const FLAGS = {
  socket: {type: 'string'},
  injector: {type: 'string'},
  'most-children': {type: 'string'},
  'ring-bytes': {type: 'string'},
  keep: {type: 'boolean'},
  'grace-seconds': {type: 'string'},
  'stdout-events': {type: 'boolean'},
  'otlp-endpoint': {type: 'string'},
  'health-port': {type: 'string'},
} as const;

/** Throws InvalidArgument with what is wrong. */
export function parseAgentOptions(args: readonly string[], env: NodeJS.ProcessEnv, dist: string): AgentOptions {
  const flags = parseFlags(args);
  const parsed = schema.safeParse({
    socket: flags.socket ?? env.SCOPE_SOCKET ?? DEFAULT_SOCKET,
    injector: flags.injector ?? env.SCOPE_INJECTOR ?? join(dist, 'native/scope-inject'),
    mostChildren: flags['most-children'] ?? env.SCOPE_MOST_CHILDREN ?? MOST_CHILDREN,
    ringBytes: flags['ring-bytes'] ?? env.SCOPE_RING_BYTES,
    keep: flags.keep ?? env.NODE_NAME !== undefined,
    graceSeconds: flags['grace-seconds'] ?? GRACE_MS / 1000,
    nodeName: env.NODE_NAME,
    daemonSet: env.SCOPE_DAEMON_SET,
    stdoutEvents: flags['stdout-events'] ?? false,
    otlpEndpoint: flags['otlp-endpoint'] ?? (env.SCOPE_OTLP_ENDPOINT === '' ? undefined : env.SCOPE_OTLP_ENDPOINT),
    healthPort: flags['health-port'],
  });
  if (!parsed.success) throw new ScopeError('InvalidArgument', z.prettifyError(parsed.error));
  const {
    socket,
    injector,
    mostChildren,
    ringBytes,
    keep,
    graceSeconds,
    stdoutEvents,
    nodeName,
    daemonSet,
    otlpEndpoint,
    healthPort,
  } = parsed.data;
  return {
    socketPath: socket,
    stateDirectory: `${socket}.d`,
    injectorPath: injector,
    mostChildren,
    keep,
    graceMs: graceSeconds * 1000,
    stdoutEvents,
    build: buildOf(env),
    ...(ringBytes !== undefined && {ringBytes}),
    ...(nodeName !== undefined && {nodeName}),
    ...(daemonSet !== undefined && {daemonSet}),
    ...(otlpEndpoint !== undefined && {otlpEndpoint}),
    ...(healthPort !== undefined && {healthPort}),
  };
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({args: [...args], options: FLAGS, strict: true}).values;
  } catch (cause) {
    throw new ScopeError('InvalidArgument', cause instanceof Error ? cause.message : String(cause), {cause});
  }
}

/** The bundler puts `{"version","revision"}` there; running from sources has none. */
function buildOf(env: NodeJS.ProcessEnv): AgentOptions['build'] {
  const text = process.env.SCOPE_BUILD ?? env.SCOPE_BUILD;
  const parsed = z
    .object({version: z.string(), revision: z.string()})
    .safeParse(text === undefined ? {} : JSON.parse(text));
  return parsed.success ? parsed.data : {version: '0.0.0', revision: 'unknown'};
}
