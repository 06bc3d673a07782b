import {FakeClock} from '@scope/core';
import {KubeRequestError} from './kube-request-error';
import type {Lease, LeaderElectionOptions} from './leader-election';
import {LeaderElection} from './leader-election';
import type {ResourceClient} from './resource-client';

/** Keeps one Lease as the API server would: a replace with an old resourceVersion is a conflict. */
class FakeLeases {
  lease: Lease | undefined;
  reachable = true;
  looks = 0;
  private version = 0;

  get(): Promise<Lease | undefined> {
    this.looks += 1;
    return this.reachable ? Promise.resolve(this.lease) : Promise.reject(new KubeRequestError(0, 'unreachable'));
  }

  create(_namespace: string, object: object): Promise<Lease> {
    if (this.lease !== undefined) return Promise.reject(new KubeRequestError(409, 'exists', 'AlreadyExists'));
    return this.keep(object as Lease);
  }

  replace(object: Lease): Promise<Lease> {
    if (!this.reachable) return Promise.reject(new KubeRequestError(0, 'unreachable'));
    if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) {
      return Promise.reject(new KubeRequestError(409, 'changed', 'Conflict'));
    }
    return this.keep(object);
  }

  private keep(object: Lease): Promise<Lease> {
    this.version += 1;
    this.lease = {...object, metadata: {...object.metadata, resourceVersion: String(this.version)}};
    return Promise.resolve(this.lease);
  }

  get holder(): string | undefined {
    return this.lease?.spec?.holderIdentity;
  }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
};

describe('LeaderElection', () => {
  let leases: FakeLeases;
  let clock: FakeClock;
  let log: string[];

  beforeEach(() => {
    leases = new FakeLeases();
    clock = new FakeClock(1_000_000);
    log = [];
  });

  function candidate(identity: string): {stop: () => void; done: Promise<void>} {
    const options: LeaderElectionOptions = {namespace: 'ns', name: 'lease', identity, clock};
    const election = new LeaderElection(leases as unknown as ResourceClient<Lease>, options);
    const controller = new AbortController();
    const done = election.run(controller.signal, async signal => {
      log.push(`${identity} leads`);
      await new Promise(resolve => {
        signal.addEventListener('abort', resolve);
      });
      log.push(`${identity} stops`);
    });
    return {
      stop: () => {
        controller.abort();
      },
      done,
    };
  }

  async function pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 1_000) {
      await clock.advance(1_000);
      await settle();
    }
  }

  it('lets one of two lead, and hands over at once when it leaves', async () => {
    const a = candidate('a');
    await settle();
    const b = candidate('b');
    await pass(60_000);
    expect(log).toEqual(['a leads']);
    a.stop();
    await settle();
    expect(log).toEqual(['a leads', 'a stops']);
    expect(leases.holder).toBe('');
    await pass(3_000);
    expect(log).toEqual(['a leads', 'a stops', 'b leads']);
    expect(leases.lease?.spec?.leaseTransitions).toBe(1);
    b.stop();
    await Promise.all([a.done, b.done]);
  });

  it('takes over from a leader that fell silent, not before its time is over', async () => {
    await leases.create('ns', {
      metadata: {name: 'lease', namespace: 'ns'},
      spec: {holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime: '2100-01-01T00:00:00.000000Z'},
    });
    const b = candidate('b');
    await settle();
    await pass(14_000);
    expect(log).toEqual([]);
    await pass(4_000);
    expect(log).toEqual(['b leads']);
    b.stop();
    await b.done;
  });

  it('renews without a look, and gives way to whoever has written the lease meanwhile', async () => {
    const a = candidate('a');
    await settle();
    const before = leases.looks;
    await pass(20_000);
    expect(leases.looks).toBe(before);
    const {lease} = leases;
    await leases.replace({...lease, metadata: lease?.metadata ?? {name: 'lease'}, spec: {holderIdentity: 'b'}});
    await pass(13_000);
    expect(log).toEqual(['a leads', 'a stops']);
    expect(leases.holder).toBe('b');
    await a.done;
  });

  it('stops leading when it can not renew, before another may begin', async () => {
    const a = candidate('a');
    await settle();
    leases.reachable = false;
    await pass(9_000);
    expect(log).toEqual(['a leads']);
    await pass(3_000);
    expect(log).toEqual(['a leads', 'a stops']);
    await a.done;
  });
});
