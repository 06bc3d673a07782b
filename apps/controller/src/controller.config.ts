import {hostname} from 'node:os';
import {ScopeError} from '@scope/core';
import {z} from 'zod';

const schema = z.object({
  /** Unlike any other copy's: the holder of the lease. */
  POD_NAME: z.string().min(1).default(hostname()),
  /** Where the lease is. Default: the namespace of the pod or of the kubeconfig's context. */
  POD_NAMESPACE: z.string().min(1).optional(),
  LEASE_NAME: z.string().min(1).default('scope-controller'),
  HEALTH_PORT: z.coerce.number().int().min(0).max(65535).default(8080),
  HEALTH_HOST: z.string().default('0.0.0.0'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
});

export type ControllerConfig = Readonly<z.infer<typeof schema>>;

/** Throws InvalidArgument with every variable that makes no sense. */
export function readConfig(env: NodeJS.ProcessEnv): ControllerConfig {
  const parsed = schema.safeParse(env);
  if (parsed.success) return parsed.data;
  throw new ScopeError('InvalidArgument', `The environment makes no sense: ${z.prettifyError(parsed.error)}`);
}
