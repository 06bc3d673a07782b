import 'reflect-metadata';
import {NestFactory} from '@nestjs/core';
import type {INestApplicationContext} from '@nestjs/common';
import {SessionService} from '@scope/attach';
import {ScopeError} from '@scope/core';
import {createLogger, logWarnings, NestLogger} from '@scope/logging';
import type {AgentOptions} from './agent-options';
import {parseAgentOptions} from './agent-options';
import {AgentModule} from './agent.module';
import {AgentLifecycle} from './lifecycle/agent-lifecycle';
import {IdleWatch} from './lifecycle/idle-watch';
import {CLOCK} from './tokens';

/** Past this, an end that hangs is cut short: the next agent mends what is left (below a pod's grace period of 30 s). */
const END_MS = 25_000;

const logger = createLogger(process.env.SCOPE_LOG_LEVEL ?? 'info', 'stderr');
logWarnings(logger);

async function main(): Promise<void> {
  const options = parseAgentOptions(process.argv.slice(2), process.env, __dirname);
  const module = AgentModule.with(options, logger, await modulesOf(options));
  const nest = {abortOnError: false, logger: new NestLogger(logger)};
  const opened = NestFactory.createApplicationContext(module, nest);
  const end = endOnce(opened);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(signal));
  const app = await opened;
  app.get(AgentLifecycle).start();
  if (options.keep) return;
  new IdleWatch({
    sessions: app.get(SessionService),
    clock: app.get(CLOCK),
    graceMs: options.graceMs,
    idle: () => void end('no session left'),
  });
}

/** Modules for the place it runs in, loaded only there: the Kubernetes client alone costs 50 MB. */
async function modulesOf({nodeName}: AgentOptions): Promise<NonNullable<Parameters<typeof AgentModule.with>[2]>> {
  if (nodeName === undefined) return [];
  const {KubeModule} = await import('./kube/kube.module');
  return [KubeModule];
}

/** What is told to end while it begins does so once it has begun: sessions are half taken back until then. */
function endOnce(opened: Promise<INestApplicationContext>): (why: string) => Promise<void> {
  let ending = false;
  return async why => {
    if (ending) return;
    ending = true;
    logger.info({why}, 'agent ends');
    setTimeout(() => {
      logger.error({afterMs: END_MS}, 'ending took too long');
      process.exit(1);
    }, END_MS).unref();
    const app = await opened.catch(() => undefined);
    if (app === undefined) return; // It says why itself.
    await app.close();
    process.exit(0);
  };
}

main().catch((thrown: unknown) => {
  const error = ScopeError.of(thrown, 'The agent could not start');
  logger.fatal({reason: error.reason, message: error.message, advice: error.advice, err: thrown}, 'agent not started');
  process.exit(error.exitCode);
});
