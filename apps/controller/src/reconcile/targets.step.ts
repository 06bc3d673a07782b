import {isDeepStrictEqual} from 'node:util';
import type {ScopeTarget} from '@scope/api';
import type {DesiredTarget} from '../target/desired-target';
import type {ReconcileContext, ReconcileTools, StepResult} from './reconcile-context';

export const FIELD_MANAGER = 'scope-controller';

/** Makes the targets that are missing, brings those that differ up to date, asks for the deletion of the rest. */
export async function targetsStep(context: ReconcileContext, tools: ReconcileTools): Promise<StepResult> {
  const existing = new Map(context.targets.map(target => [placeOf(target), target]));
  const wanted = new Set(context.desired.map(placeOf));
  await Promise.all([
    ...context.desired.map(target => applyOne(target, existing.get(placeOf(target)), tools)),
    ...context.targets
      .filter(target => !wanted.has(placeOf(target)) && target.metadata.deletionTimestamp === undefined)
      .map(target => tools.targets.delete(target.metadata, target.metadata.uid)),
  ]);
  return 'go on';
}

async function applyOne(
  wanted: DesiredTarget,
  existing: ScopeTarget | undefined,
  tools: ReconcileTools,
): Promise<void> {
  // On its way out: it comes again, under the same name, when the agent has let go.
  if (existing?.metadata.deletionTimestamp !== undefined) return;
  if (existing !== undefined && isDeepStrictEqual(existing.spec, wanted.spec)) return;
  await tools.targets.apply(wanted.metadata, wanted, {fieldManager: FIELD_MANAGER});
}

const placeOf = ({metadata}: {readonly metadata: {readonly namespace?: string; readonly name: string}}): string =>
  `${metadata.namespace ?? ''}/${metadata.name}`;
