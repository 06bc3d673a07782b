import {ScopeError} from '@scope/core';
import type {Injector, InjectorOptions, InjectorReport} from './injector.port';

type Verb = 'check' | 'attach' | 'adopt' | 'detach' | 'inspect';

/** Answers as told, and remembers what was asked: "attach 7", "attach 7 anew", "detach 7"… */
export class FakeInjector implements Injector {
  readonly calls: string[] = [];
  /** Thrown by the next call of that verb, once. */
  readonly refusals = new Map<Verb, ScopeError>();
  /** When set, `attach` waits for it. */
  gate: Promise<void> | undefined;
  readonly attached = new Set<number>();
  /** What `adopt` says. */
  isOfAnotherBuild = false;
  /** What it finds open in a process. */
  ioUrings = 0;

  async check(options: InjectorOptions): Promise<InjectorReport> {
    await this.enter('check', options);
    return this.report(options.pid);
  }

  async attach(options: InjectorOptions): Promise<InjectorReport> {
    await this.enter('attach', options);
    await this.gate;
    this.attached.add(options.pid);
    return this.report(options.pid);
  }

  async adopt(options: InjectorOptions): Promise<InjectorReport> {
    await this.enter('adopt', options);
    if (!this.attached.has(options.pid)) throw new ScopeError('NotScoped', `Process ${options.pid} is not scoped.`);
    return {...this.report(options.pid), isOfAnotherBuild: this.isOfAnotherBuild, stopMicroseconds: 0};
  }

  async detach(options: InjectorOptions): Promise<void> {
    await this.enter('detach', options);
    if (!this.attached.delete(options.pid)) throw new ScopeError('NotScoped', `Process ${options.pid} is not scoped.`);
  }

  async inspect(options: InjectorOptions): Promise<Readonly<Record<string, unknown>>> {
    await this.enter('inspect', options);
    return {ok: true, pid: options.pid};
  }

  private enter(verb: Verb, {pid, replace}: InjectorOptions): Promise<void> {
    this.calls.push(`${verb} ${pid}${replace === true ? ' anew' : ''}`);
    const refusal = this.refusals.get(verb);
    this.refusals.delete(verb);
    return refusal === undefined ? Promise.resolve() : Promise.reject(refusal);
  }

  private report(pid: number): InjectorReport {
    return {
      abi: 1,
      pid,
      startTime: '1000',
      ring: {address: '0x7f0000000000', bytes: 4096, mapFile: `/proc/${pid}/map_files/7f0000000000-7f0000001000`},
      target: {kind: 'glibc-dynamic', libc: 'glibc 2.36', threads: 1, ioUrings: this.ioUrings},
      sites: {found: 530, hooked: 121, skipped: []},
      stopMicroseconds: 812,
      isOfAnotherBuild: false,
      raw: {},
    };
  }
}
