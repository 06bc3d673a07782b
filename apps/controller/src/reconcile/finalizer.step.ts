import {DETACH_FINALIZER} from '@scope/api';
import {isNotFound} from '@scope/kube';
import type {ReconcileContext, ReconcileTools, StepResult} from './reconcile-context';

/**
 * Holds the object until everything it caused is undone. Put on before the first target is made; taken off, when
 * deletion was asked for, once no target is left.
 */
export async function finalizerStep(context: ReconcileContext, tools: ReconcileTools): Promise<StepResult> {
  const {attach, targets} = context;
  const {metadata} = attach;
  const finalizers = metadata.finalizers ?? [];
  const held = finalizers.includes(DETACH_FINALIZER);
  if (metadata.deletionTimestamp === undefined) {
    if (!held) await write(context, tools, [...finalizers, DETACH_FINALIZER]);
    return 'go on';
  }
  context.pause = 'Detaching';
  if (targets.length > 0) return 'go on';
  if (held)
    await write(
      context,
      tools,
      finalizers.filter(name => name !== DETACH_FINALIZER),
    );
  return 'stop';
}

/** A list is replaced as a whole: with the resourceVersion, so that nobody else's finalizer is lost. */
async function write({attach}: ReconcileContext, tools: ReconcileTools, finalizers: readonly string[]): Promise<void> {
  const {namespace, name, resourceVersion} = attach.metadata;
  const change = {metadata: {finalizers, ...(resourceVersion !== undefined && {resourceVersion})}};
  try {
    await tools.attaches[attach.kind].patch({namespace, name}, change);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
