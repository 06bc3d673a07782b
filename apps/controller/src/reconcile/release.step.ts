import type {ScopeTarget} from '@scope/api';
import {DETACH_FINALIZER} from '@scope/api';
import type {KubeObject} from '@scope/kube';
import {findCondition, isNotFound} from '@scope/kube';
import type {ReconcileContext, ReconcileTools, StepResult} from './reconcile-context';
import {lookAgainAfter} from './reconcile-context';

/** How long an agent that doesn't answer may hold a deletion up. */
export const RELEASE_AFTER_MS = 60_000;

/**
 * Lets go of the targets whose deletion was asked for: when the agent says it has detached, when the node is gone, or
 * at the latest a minute after.
 */
export async function releaseStep(context: ReconcileContext, tools: ReconcileTools): Promise<StepResult> {
  const {targets, attach, now} = context;
  const waits = await Promise.all(targets.map(target => releaseTarget(target, attach, now, tools)));
  for (const wait of waits) if (wait !== undefined) lookAgainAfter(context, wait);
  return 'go on';
}

/** Lets go of one target when its time has come; else says after how many milliseconds to ask again, if at all. */
export async function releaseTarget(
  target: ScopeTarget,
  regarding: KubeObject,
  now: number,
  tools: ReconcileTools,
): Promise<number | undefined> {
  const {deletionTimestamp, finalizers = []} = target.metadata;
  if (deletionTimestamp === undefined || !finalizers.includes(DETACH_FINALIZER)) return undefined;
  if (findCondition(target.status?.conditions, 'Detached')?.status === 'True') {
    await takeFinalizerOff(target, tools);
    return undefined;
  }
  const {nodeName, podName} = target.spec;
  const waitedMs = now - Date.parse(deletionTimestamp);
  const gone = !(await tools.nodeExists(nodeName));
  if (!gone && waitedMs < RELEASE_AFTER_MS) return RELEASE_AFTER_MS - waitedMs;
  await takeFinalizerOff(target, tools);
  await tools.events.record({
    regarding,
    type: 'Warning',
    reason: gone ? 'NodeGone' : 'AgentUnavailable',
    action: 'Detach',
    note: gone
      ? `Node ${nodeName} is gone, and pod ${podName} with it: nothing is left to detach.`
      : `The agent on node ${nodeName} did not say within a minute that it let go of pod ${podName}; it will when it is back.`,
  });
  return undefined;
}

async function takeFinalizerOff(target: ScopeTarget, tools: ReconcileTools): Promise<void> {
  const {namespace, name, resourceVersion, finalizers = []} = target.metadata;
  const rest = finalizers.filter(finalizer => finalizer !== DETACH_FINALIZER);
  const change = {metadata: {finalizers: rest, ...(resourceVersion !== undefined && {resourceVersion})}};
  try {
    await tools.targets.patch({namespace, name}, change);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
