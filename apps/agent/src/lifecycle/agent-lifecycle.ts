import {rmdirSync} from 'node:fs';
import {join} from 'node:path';
import type {BeforeApplicationShutdown, OnApplicationShutdown, OnModuleDestroy} from '@nestjs/common';
import type {SessionService} from '@scope/attach';
import {isFinal} from '@scope/attach';
import type {EventBus} from '@scope/pipeline';
import type {Logger} from '@scope/logging';
import type {AgentOptions} from '../agent-options';
import type {HealthServer} from '../http/health-server';
import type {SocketServer} from '../http/socket-server';
import type {Succession} from './succession';

export interface LifecycleParts {
  readonly options: AgentOptions;
  readonly sessions: SessionService;
  readonly bus: EventBus;
  readonly server: SocketServer;
  readonly health: HealthServer;
  readonly succession: Succession;
  readonly logger: Logger;
}

/**
 * The order in which this agent begins and ends:
 *
 *   open     listen (socket, then TCP) → take the sessions of agents that are gone back
 *   start    ready
 *   end      stop listening → detach from everything, or leave it to the next agent → flush and close the sinks → close what is still open
 *            → leave no empty folder
 */
export class AgentLifecycle implements OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown {
  private state: 'starting' | 'ready' | 'ending' = 'starting';
  private settle: () => void = () => undefined;
  private readonly settlement = new Promise<void>(resolve => {
    this.settle = resolve;
  });

  constructor(private readonly parts: LifecycleParts) {}

  isReady(): boolean {
    return this.state === 'ready';
  }

  /** Resolves once it is known which sessions there are: nobody may ask for one, or for a process, before. */
  settled(): Promise<void> {
    return this.settlement;
  }

  /**
   * It answers from the beginning: taking sessions back can take as long as an injector may. Rejects with AgentUnavailable
   * when another agent answers on the socket; then that one's sessions are not looked at.
   */
  async open(): Promise<void> {
    const {options, sessions, server, health, logger} = this.parts;
    await server.listen();
    if (options.healthPort !== undefined) await health.listen(options.healthPort);
    for (const {id, pid, state, error} of await sessions.recover()) {
      logger.info({session: id, pid, state, reason: error?.reason, message: error?.message}, 'taken back');
    }
    this.settle();
  }

  start(): void {
    if (this.state !== 'starting') return;
    const {options, sessions, logger} = this.parts;
    sessions.changes$.subscribe(({id, pid, state, error}) => {
      const fields = {session: id, pid, state, reason: error?.reason, message: error?.message};
      if (state === 'Failed') logger.warn(fields, 'session');
      else logger.info(fields, 'session');
    });
    this.state = 'ready';
    logger.info({socket: options.socketPath, node: options.nodeName, ...options.build}, 'agent ready');
  }

  onModuleDestroy(): void {
    this.state = 'ending';
    this.parts.server.stopListening();
  }

  async beforeApplicationShutdown(): Promise<void> {
    const {sessions, succession, logger} = this.parts;
    await sessions.close({leave: succession.isPromised});
    for (const {pid, state, error} of sessions.sessions()) {
      if (succession.isPromised && state === 'Scoped') logger.info({pid}, 'left to the next agent');
      else if (!isFinal(state) || state === 'Failed') logger.warn({pid, state, error}, 'left behind at the end');
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.parts.bus.close();
    this.parts.health.close();
    this.parts.server.close();
    // What an agent that comes after us would need keeps them.
    removeIfEmpty(join(this.parts.options.stateDirectory, 'sessions'));
    removeIfEmpty(this.parts.options.stateDirectory);
    this.parts.logger.info('agent ended');
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Something is in it, or it is gone.
  }
}
