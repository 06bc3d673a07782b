import type {IncomingMessage, ServerResponse} from 'node:http';
import {ScopeError} from '@scope/core';
import {httpStatusOf} from './http-error';

export interface RouteRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The parsed JSON body; undefined when there is none. */
  readonly body: unknown;
  readonly response: ServerResponse;
}

/** Answers with what becomes JSON, or with STREAMED when it wrote, or goes on writing, the response itself. */
export type RouteHandler = (request: RouteRequest) => unknown;

export const STREAMED = Symbol('STREAMED');
const BODY_LIMIT_BYTES = 1 << 20;

interface Route {
  readonly method: string;
  readonly segments: readonly string[];
  readonly status: number;
  readonly handle: RouteHandler;
}

export interface Routes {
  on(method: string, path: string, handle: RouteHandler, status?: number): Routes;
}

/** A handful of routes over node:http: paths with :parameters, JSON in and out, ScopeErrors as {"error": …}. */
export class Router implements Routes {
  private readonly routes: Route[] = [];

  on(method: string, path: string, handle: RouteHandler, status = 200): this {
    this.routes.push({method, segments: path.split('/'), status, handle});
    return this;
  }

  /** Adds routes that are answered once `gate` has resolved. */
  behind(gate: () => Promise<void>): Routes {
    const routes: Routes = {
      on: (method, path, handle, status) => {
        this.on(method, path, request => gate().then(() => handle(request)), status);
        return routes;
      },
    };
    return routes;
  }

  /** Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://agent');
      const {route, params} = this.match(request.method ?? 'GET', url.pathname);
      const body = await readJson(request);
      const answer = await route.handle({params, query: url.searchParams, body, response});
      if (answer !== STREAMED) sendJson(response, route.status, answer);
    } catch (thrown) {
      const error = ScopeError.of(thrown, 'The request failed');
      if (response.headersSent) response.destroy();
      else sendJson(response, httpStatusOf(error.reason), {error: error.toView()});
    }
  }

  private match(method: string, path: string): {route: Route; params: Record<string, string>} {
    const parts = path.split('/');
    for (const route of this.routes) {
      const params = route.method === method ? matchSegments(route.segments, parts) : undefined;
      if (params !== undefined) return {route, params};
    }
    throw new ScopeError('InvalidArgument', `There is no ${method} ${path}.`, {
      advice: 'Command and agent may be of different versions.',
    });
  }
}

function matchSegments(segments: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  if (segments.length !== parts.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? '';
    if (segment.startsWith(':')) params[segment.slice(1)] = decodeURIComponent(part);
    else if (segment !== part) return undefined;
  }
  return params;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT_BYTES) throw new ScopeError('InvalidArgument', 'The request is too large.');
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new ScopeError('InvalidArgument', 'The request is not JSON.', {cause});
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = Buffer.from(`${JSON.stringify(body ?? {})}\n`);
  response.writeHead(status, {'content-type': 'application/json', 'content-length': text.length});
  response.end(text);
}
