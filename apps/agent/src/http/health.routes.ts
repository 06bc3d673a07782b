import {ScopeError} from '@scope/core';
import type {PrometheusSink} from '@scope/sinks';
import type {AgentOptions} from '../agent-options';
import type {Router} from './router';
import {STREAMED} from './router';

/** GET /healthz, /readyz and /metrics: what both servers offer. `isReady` is false while it starts and while it ends. */
export function addProbeRoutes(router: Router, metrics: PrometheusSink, isReady: () => boolean): void {
  router
    .on('GET', '/healthz', () => ({status: 'ok'}))
    .on('GET', '/readyz', () => {
      if (!isReady()) throw new ScopeError('AgentUnavailable', 'The agent is starting or ending.');
      return {status: 'ok'};
    })
    .on('GET', '/metrics', async ({response}) => {
      const {contentType, text} = await metrics.render();
      response.writeHead(200, {'content-type': contentType});
      response.end(text);
      return STREAMED;
    });
}

/** GET /v1/health: who answers here. */
export function addHealthRoute(router: Router, {build, nodeName, keep}: AgentOptions): void {
  router.on('GET', '/v1/health', () => ({
    status: 'ok',
    pid: process.pid,
    ...build,
    ...(nodeName !== undefined && {node: nodeName}),
    keep,
    memory: process.memoryUsage(),
    uptimeSeconds: Math.round(process.uptime()),
  }));
}
