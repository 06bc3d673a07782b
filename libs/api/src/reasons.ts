/**
 * Why something was refused, failed or ended: a closed list. What each one means, how it is handled, which exit code
 * it gives and what a person can do stands in one table (@scope/core, reason-table.ts).
 * Conditions, Kubernetes Events, session states, metric labels and exit codes use these words and no others.
 */
export const REASONS = [
  'NotRoot',
  'MissingCapability',
  'InvalidArgument',
  'NoSuchProcess',
  'NoSuchSession',
  'AmbiguousName',
  'ProcessExited',
  'PIDReused',
  'KernelThread',
  'Zombie',
  'Stopped',
  'AlreadyTraced',
  'AlreadyScoped',
  'NotScoped',
  'UnsupportedArchitecture',
  'ThirtyTwoBit',
  'SeccompStrict',
  'MemoryMapRefused',
  'NoHookableSites',
  'TextWriteRefused',
  'NoContainer',
  'ContainerRestarted',
  'AgentUnavailable',
  'NodeGone',
  'ClusterUnavailable',
  'ABIMismatch',
  'NotBuilt',
  'NotSupported',
  'PartlySeen',
  'HistoryNotWritable',
  'DiskFull',
  'ExportFailed',
  'Timeout',
  'Interrupted',
  'Detached',
  'InternalError',
] as const;

export type Reason = (typeof REASONS)[number];

/** True when `text` is one of the closed list, e.g. what the injector or another version of the agent said. */
export function isReason(text: unknown): text is Reason {
  return typeof text === 'string' && (REASONS as readonly string[]).includes(text);
}
