import type {LabelSelector, OwnerReference, ScopeAttach} from '@scope/api';
import type {Clock} from '@scope/core';
import type {KubeClient, KubeObject, Pod} from '@scope/kube';
import {ResourceClient, resourceTypes} from '@scope/kube';
import {matchesSelector} from './label-selector';

export type WorkloadRef = NonNullable<ScopeAttach['spec']['target']['workloadRef']>;
export type PodTest = (pod: Pod) => boolean;

interface SelectingWorkload extends KubeObject {
  readonly spec?: {readonly selector?: LabelSelector};
}

/** Kinds that name their pods by a selector, and the kind of the pods' controller: only that one's pods count. */
const selecting = {
  Deployment: {type: resourceTypes.deployments, controller: 'ReplicaSet'},
  StatefulSet: {type: resourceTypes.statefulSets, controller: 'StatefulSet'},
  DaemonSet: {type: resourceTypes.daemonSets, controller: 'DaemonSet'},
  ReplicaSet: {type: resourceTypes.replicaSets, controller: 'ReplicaSet'},
  Job: {type: resourceTypes.jobs, controller: 'Job'},
} as const;

/** An answer of the API server is good for so long: one pod's change leads to a dozen questions. */
const FRESH_MS = 2_000;

/** Which pods a workload has. */
export interface WorkloadAnswer {
  /** A test for its pods; undefined when there is no such workload. */
  readonly belongs: PodTest | undefined;
  /** Set when it may be out of date: so many milliseconds from now it is worth asking again. */
  readonly againAfterMs?: number;
}

/** Asks the API server which pods a workload has, by one small request now and then: workloads are not watched. */
export class WorkloadPods {
  private readonly answers = new Map<string, {readonly belongs: PodTest | undefined; readonly until: number}>();

  constructor(
    private readonly client: KubeClient,
    private readonly clock: Clock,
  ) {}

  /** Rejects with KubeRequestError. */
  async of(namespace: string, workload: WorkloadRef): Promise<WorkloadAnswer> {
    const now = this.clock.monotonicMs();
    const key = `${workload.kind}/${namespace}/${workload.name}`;
    const known = this.answers.get(key);
    if (known !== undefined && known.until > now) return {belongs: known.belongs, againAfterMs: known.until - now};
    for (const [old, {until}] of this.answers) if (until <= now) this.answers.delete(old);
    const belongs = await this.ask(namespace, workload);
    this.answers.set(key, {belongs, until: now + FRESH_MS});
    return {belongs};
  }

  private async ask(namespace: string, {kind, name}: WorkloadRef): Promise<PodTest | undefined> {
    if (kind === 'CronJob') return this.ofCronJob(namespace, name);
    const {type, controller} = selecting[kind];
    const workload = await new ResourceClient<SelectingWorkload>(this.client, type).get({namespace, name});
    const selector = workload?.spec?.selector;
    if (selector === undefined) return undefined;
    return pod => controllerOf(pod)?.kind === controller && matchesSelector(selector, pod.metadata.labels);
  }

  /** Its pods belong to its jobs. */
  private async ofCronJob(namespace: string, name: string): Promise<PodTest | undefined> {
    const cronJob = await new ResourceClient(this.client, resourceTypes.cronJobs).get({namespace, name});
    if (cronJob === undefined) return undefined;
    const jobs = await new ResourceClient(this.client, resourceTypes.jobs).list(namespace, {resourceVersion: '0'});
    const own = jobs.items.filter(job => controllerOf(job)?.uid === cronJob.metadata.uid);
    const uids = new Set(own.map(job => job.metadata.uid));
    return pod => uids.has(controllerOf(pod)?.uid);
  }
}

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(reference => reference.controller === true);
}

/**
 * The workload that people know a pod by: its controller, or for a ReplicaSet made by a Deployment that Deployment,
 * whose name is the ReplicaSet's without the pod-template-hash. Undefined for a pod on its own.
 */
export function workloadOfPod(pod: Pod): {readonly kind: string; readonly name: string} | undefined {
  const controller = controllerOf(pod);
  if (controller === undefined) return undefined;
  const hash = pod.metadata.labels?.['pod-template-hash'];
  const {kind, name} = controller;
  if (kind === 'ReplicaSet' && hash !== undefined && name.endsWith(`-${hash}`)) {
    return {kind: 'Deployment', name: name.slice(0, -hash.length - 1)};
  }
  return {kind, name};
}
