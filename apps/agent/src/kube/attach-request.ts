import type {CaptureOptions, CaptureSpec, ScopeTarget} from '@scope/api';
import type {AttachRequest} from '@scope/attach';
import type {ContainerProcess} from './container-process';

/** Who asks, in a session's owners: one target has one claim on a process. */
export const ownerOf = ({metadata}: ScopeTarget): string => `ScopeTarget/${metadata.namespace ?? ''}/${metadata.name}`;

/** Whether what the scoped processes start is to be scoped as well. */
export const wantsChildren = ({spec}: ScopeTarget): boolean => spec.processes?.children ?? false;

/** The wish to see into one process of a pod. */
export function attachRequest(target: ScopeTarget, process: ContainerProcess, node: string): AttachRequest {
  const {podName, podUID, workload, capture, rateLimit} = target.spec;
  const {container, containerId, pid, startTime} = process;
  return {
    pid,
    startTime,
    enter: true,
    owner: ownerOf(target),
    capture: captureOptions(capture),
    ...(wantsChildren(target) && {children: true}),
    identity: {
      container: container.name,
      containerId,
      ...(container.image !== undefined && {image: container.image}),
      pod: podName,
      podUid: podUID,
      namespace: target.metadata.namespace ?? '',
      node,
      ...(workload !== undefined && {workload: workload.name, workloadKind: workload.kind.toLowerCase()}),
      service: workload?.name ?? podName,
    },
    ...(rateLimit?.eventsPerSecond !== undefined && {rateLimit: {eventsPerSecond: rateLimit.eventsPerSecond}}),
  };
}

/** The schema's form as the pipeline's: header names in lower case, absent stays off. */
export function captureOptions(spec: CaptureSpec): CaptureOptions {
  const {fs, net, dns, http, console: lines} = spec;
  const lower = (names: readonly string[]): string[] => names.map(name => name.toLowerCase());
  return {
    ...(fs !== undefined && {fs}),
    ...(net !== undefined && {net: {}}),
    ...(dns !== undefined && {dns: {}}),
    ...(http !== undefined && {
      http: {
        ...(http.headers !== undefined && {headers: lower(http.headers)}),
        ...(http.redact !== undefined && {redact: lower(http.redact)}),
      },
    }),
    ...(lines?.mode === 'Lines' && {console: {mode: 'Lines'}}),
  };
}
