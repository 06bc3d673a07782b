import type {ProcessIdentity, ScopeEvent} from '@scope/api';
import type {NativeStats} from '@scope/native';
import type {InjectorReport} from './injector/injector.port';
import type {ProcessFacts} from './proc/process-table.port';
import type {AttachRequest, AttachmentView, SessionView} from './session';

/** What a session needs to know of its process. */
export type SessionFacts = Pick<ProcessFacts, 'pid' | 'startTime' | 'name' | 'executable'>;

export function identityOf({pid, name, executable}: SessionFacts, {identity}: AttachRequest): ProcessIdentity {
  return {pid, name, executable: executable ?? '', ...identity};
}

export const NOTHING: SessionView['counts'] = {delivered: 0, filtered: 0, rateLimited: 0, lost: 0, dropped: {}};

export function addStats(before: NativeStats | undefined, stats: NativeStats): NativeStats {
  if (before === undefined) return stats;
  const lost = {...before.lost};
  for (const [what, count] of Object.entries(stats.lost)) lost[what] = (lost[what] ?? 0) + count;
  return {...stats, records: before.records + stats.records, events: before.events + stats.events, lost};
}

export function scopedAttributes({kind, threads, sites, stopMicroseconds}: AttachmentView): ScopeEvent['attributes'] {
  return {
    'scope.target.kind': kind,
    'scope.target.threads': threads,
    'scope.sites.hooked': sites.hooked,
    'scope.sites.found': sites.found,
    'scope.stop.duration': stopMicroseconds / 1e6,
  };
}

export function summarize(report: InjectorReport): AttachmentView {
  const {kind, libc, go, threads} = report.target;
  return {
    kind,
    threads,
    sites: {found: report.sites.found, hooked: report.sites.hooked},
    stopMicroseconds: report.stopMicroseconds,
    ...(libc !== undefined && {libc}),
    ...(go !== undefined && {go}),
  };
}
