import {Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy} from '@nestjs/common';
import type {ScopeTarget} from '@scope/api';
import {AttachService, type ProcessTable} from '@scope/attach';
import {ContainerScanner, procSource} from '@scope/containers';
import {ScopeError, type Clock} from '@scope/core';
import type {KubeObject} from '@scope/kube';
import {defaultConnection, KubeClient, Reflector, ResourceClient, resourceTypes, Workqueue} from '@scope/kube';
import type {Logger} from '@scope/logging';
import type {Subscription} from 'rxjs';
import type {AgentOptions} from '../agent-options';
import {AGENT_OPTIONS, CLOCK, LOGGER, PROCESSES} from '../tokens';
import {Succession} from '../lifecycle/succession';
import type {AgentSet} from './next-agent';
import {comesAgain} from './next-agent';
import {claimedKeys, TargetReconciler} from './target.reconciler';

const RESCAN_MS = 1_000;
const CONCURRENCY = 4;
const RETRY = {baseMs: 200, maxMs: 10_000};
/** For the API server's word on the next agent; below a pod's grace period. */
const ASK_MS = 3_000;

/** Watches the ScopeTargets of this node, and its containers' processes, and has each target brought about. */
@Injectable()
export class TargetWatcher implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly stop = new AbortController();
  private running: Promise<void> | undefined;
  private client: KubeClient | undefined;
  private subscriptions: readonly Subscription[] = [];
  private stopScanning: (() => void) | undefined;

  constructor(
    private readonly attach: AttachService,
    private readonly succession: Succession,
    @Inject(AGENT_OPTIONS) private readonly options: AgentOptions,
    @Inject(PROCESSES) private readonly processes: ProcessTable,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Throws ClusterUnavailable when there is no way to the API server; that it does not answer is waited out. */
  onApplicationBootstrap(): void {
    const {signal} = this.stop;
    const node = this.options.nodeName;
    if (node === undefined) throw new ScopeError('InvalidArgument', 'NODE_NAME is not set.');
    const client = new KubeClient(defaultConnection(), 'scope-agent');
    this.client = client;
    const reflector = new Reflector<ScopeTarget>(client, resourceTypes.scopeTargets, {
      fieldSelector: `spec.nodeName=${node}`,
      clock: this.clock,
      onRestart: ({reason, afterMs}) => {
        this.logger.info({reason, afterMs}, 'watch of targets starts again');
      },
    });
    const scanner = new ContainerScanner(procSource());
    const reconciler = new TargetReconciler({
      attach: this.attach,
      targets: new ResourceClient<ScopeTarget>(client, resourceTypes.scopeTargets),
      scan: () => scanner.scan(),
      processes: this.processes,
      proc: procSource(),
      node,
      clock: this.clock,
    });
    const queue = new Workqueue(
      async key => {
        await reconciler.reconcile(key, reflector.get(key));
        return undefined;
      },
      {
        clock: this.clock,
        concurrency: CONCURRENCY,
        backoff: RETRY,
        onFailure: (target, error, retryMs) => {
          this.logger.warn({target, err: ScopeError.of(error), retryMs}, 'target not brought about yet');
        },
      },
    );
    this.subscriptions = [
      reflector.events$.subscribe(event => {
        if (event.type !== 'Synced') {
          queue.add(event.key);
          return;
        }
        // Sessions that were taken back may be of targets that went while no agent was there.
        for (const key of claimedKeys(this.attach.sessions())) queue.add(key);
      }),
      this.attach.changes$.subscribe(view => {
        const key = reconciler.noteSession(view);
        if (key !== undefined) queue.add(key);
      }),
    ];
    this.stopScanning = this.clock.every(RESCAN_MS, () => {
      const targets = reflector.list();
      if (targets.length === 0) return;
      const pids = scanner.scan();
      for (const target of targets) {
        const key = `${target.metadata.namespace ?? ''}/${target.metadata.name}`;
        if (reconciler.isDue(key, target, pids)) queue.add(key);
      }
    });
    queue.start(signal);
    this.running = reflector.run(signal);
    this.logger.info({node}, 'watching the targets of this node');
  }

  /** Before the agent lets go of everything: nothing is attached any more. Statuses stay as they are. */
  async onModuleDestroy(): Promise<void> {
    this.stop.abort();
    this.stopScanning?.();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    await this.running;
    this.succession.isPromised = await this.isFollowed();
    this.client?.close();
  }

  /** Whether this pod ends because another one takes its place: a rollout, or somebody who deleted it. */
  private async isFollowed(): Promise<boolean> {
    const {client} = this;
    const {nodeName, daemonSet} = this.options;
    if (client === undefined || nodeName === undefined || daemonSet === undefined) return false;
    const asked = Promise.all([
      new ResourceClient<AgentSet>(client, resourceTypes.daemonSets).get(daemonSet),
      new ResourceClient<KubeObject>(client, resourceTypes.nodes).get({name: nodeName}),
    ]).catch(() => [undefined, undefined] as const);
    const [set, node] = await Promise.race([
      asked,
      this.clock.sleep(ASK_MS).then(() => [undefined, undefined] as const),
    ]);
    return comesAgain(set, node);
  }
}
