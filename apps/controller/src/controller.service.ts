import {Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown} from '@nestjs/common';
import type {AnyScopeAttach, ScopeTarget} from '@scope/api';
import {API_GROUP} from '@scope/api';
import type {Clock} from '@scope/core';
import {ScopeError} from '@scope/core';
import type {KubeEvent, Lease} from '@scope/kube';
import {EventRecorder, KubeClient, LeaderElection, ResourceClient, resourceTypes, Workqueue} from '@scope/kube';
import type {Logger} from '@scope/logging';
import {formatKey, keyOfAttach} from './attach-key';
import {ClusterView} from './cluster-view';
import type {ControllerConfig} from './controller.config';
import {WorkloadPods} from './match/workload-pods';
import {AttachReconciler} from './reconcile/attach.reconciler';
import type {ReconcileTools} from './reconcile/reconcile-context';
import {CLOCK, CONFIG, LOGGER} from './tokens';
import {watchForWork} from './triggers';

const CONCURRENCY = 4;
const RETRY = {baseMs: 200, maxMs: 60_000};

/** Waits to lead, then keeps a view of the cluster and works off what changes in it, until it stops leading. */
@Injectable()
export class ControllerService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly stop = new AbortController();
  private running: Promise<void> | undefined;
  private view: ClusterView | undefined;

  constructor(
    private readonly client: KubeClient,
    @Inject(CONFIG) private readonly config: ControllerConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Not leading is ready too: another copy works, and this one is there when it ends. */
  get isReady(): boolean {
    return this.view === undefined || this.view.isSynced;
  }

  onApplicationBootstrap(): void {
    this.running = this.run(this.stop.signal);
  }

  async onApplicationShutdown(): Promise<void> {
    this.stop.abort();
    await this.running;
    this.client.close();
  }

  private async run(signal: AbortSignal): Promise<void> {
    while (!isAborted(signal)) {
      const election = new LeaderElection(new ResourceClient<Lease>(this.client, resourceTypes.leases), {
        namespace: this.config.POD_NAMESPACE ?? this.client.namespace,
        name: this.config.LEASE_NAME,
        identity: this.config.POD_NAME,
        clock: this.clock,
        onError: error => {
          this.logger.warn({err: error}, 'the lease could not be read or written');
        },
      });
      await election.run(signal, leading => this.lead(leading));
    }
  }

  private async lead(signal: AbortSignal): Promise<void> {
    this.logger.info({identity: this.config.POD_NAME}, 'leading');
    const view = new ClusterView(this.client, {
      clock: this.clock,
      onRestart: (resource, reason, afterMs) => {
        this.logger.info({resource, reason, afterMs}, 'watch starts again');
      },
    });
    this.view = view;
    const reconciler = new AttachReconciler(this.tools(view));
    const queue = new Workqueue(key => reconciler.reconcile(key), {
      clock: this.clock,
      concurrency: CONCURRENCY,
      backoff: RETRY,
      onFailure: (key, error, retryMs) => {
        this.logger.warn({key, err: ScopeError.of(error, 'Reconciling'), retryMs}, 'reconciling failed');
      },
    });
    watchForWork(view, key => {
      queue.add(key);
    });
    const running = view.run(signal);
    // Nothing is done on half a view: what is not in it yet would be taken for deleted.
    while (!view.isSynced && !isAborted(signal)) await this.clock.sleep(20, signal).catch(() => undefined);
    for (const attach of view.attaches()) queue.add(formatKey(keyOfAttach(attach)));
    queue.start(signal);
    this.logger.info({scopeAttaches: view.attaches().length, pods: view.pods.list().length}, 'view is complete');
    await running;
    this.view = undefined;
    this.logger.info({}, 'no longer leading');
  }

  private tools(view: ClusterView): ReconcileTools {
    const nodes = new ResourceClient(this.client, resourceTypes.nodes);
    return {
      view,
      workloads: new WorkloadPods(this.client, this.clock),
      attaches: {
        ScopeAttach: new ResourceClient<AnyScopeAttach>(this.client, resourceTypes.scopeAttaches),
        ClusterScopeAttach: new ResourceClient<AnyScopeAttach>(this.client, resourceTypes.clusterScopeAttaches),
      },
      targets: new ResourceClient<ScopeTarget>(this.client, resourceTypes.scopeTargets),
      events: new EventRecorder(new ResourceClient<KubeEvent>(this.client, resourceTypes.events), {
        controller: `${API_GROUP}/controller`,
        instance: this.config.POD_NAME,
        clock: this.clock,
        onError: error => {
          this.logger.warn({err: error}, 'an event could not be written');
        },
      }),
      nodeExists: async name => (await nodes.get({name})) !== undefined,
      clock: this.clock,
    };
  }
}

function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
