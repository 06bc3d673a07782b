import type {IncomingMessage} from 'node:http';
import {Agent, request as httpsRequest} from 'node:https';
import type {ClusterConnection} from './cluster-connection';
import {KubeRequestError} from './kube-request-error';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  /** Of the body. Default application/json. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** How long the connection may be silent. Default 30 s. */
  readonly idleTimeoutMs?: number;
}

const IDLE_TIMEOUT_MS = 30_000;
const AGENT_OPTIONS = {keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 4};

/**
 * JSON to and from the API server over kept connections: one pool for requests, one for watches, so that a watch
 * never waits behind a list. Rejects with KubeRequestError and nothing else, save the signal's own reason.
 */
export class KubeClient {
  private readonly requests = new Agent(AGENT_OPTIONS);
  private readonly watches = new Agent(AGENT_OPTIONS);

  constructor(
    private readonly connection: ClusterConnection,
    private readonly userAgent = 'scope',
  ) {}

  /** The namespace of the pod, or of the kubeconfig's context. */
  get namespace(): string {
    return this.connection.namespace;
  }

  /** The answer's body. */
  async send<T>(request: KubeRequest): Promise<T> {
    const response = await this.open(request, this.requests);
    return (await readJson(response)) as T;
  }

  /** The answer's lines as they come; ends when the server ends, rejects when the connection breaks or falls silent. */
  async *lines(request: KubeRequest): AsyncGenerator<string> {
    const response = await this.open(request, this.watches);
    response.setEncoding('utf8');
    let rest = '';
    try {
      // Not readline: it does not pass on that the stream broke, and waits for ever.
      for await (const chunk of response as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        yield* lines;
      }
    } catch (error) {
      request.signal?.throwIfAborted();
      throw error instanceof KubeRequestError ? error : broken(request, error);
    } finally {
      response.destroy();
    }
    if (rest !== '') yield rest;
  }

  /** Ends kept connections. */
  close(): void {
    this.requests.destroy();
    this.watches.destroy();
  }

  private async open(request: KubeRequest, agent: Agent): Promise<IncomingMessage> {
    request.signal?.throwIfAborted();
    const auth = await this.connection.authenticate();
    const url = new URL(this.connection.server.replace(/\/$/, '') + request.path);
    for (const [key, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = httpsRequest(url, {
        ...auth,
        agent,
        method: request.method,
        ...(request.signal !== undefined && {signal: request.signal}),
        headers: {
          ...auth.headers,
          accept: 'application/json',
          'user-agent': this.userAgent,
          ...(body !== undefined && {
            'content-type': request.contentType ?? 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
        },
      });
      // Of the socket: silence before the answer and in the middle of it.
      outgoing.setTimeout(request.idleTimeoutMs ?? IDLE_TIMEOUT_MS, () => {
        outgoing.destroy(new Error(`nothing heard for ${request.idleTimeoutMs ?? IDLE_TIMEOUT_MS} ms`));
      });
      outgoing.on('response', resolve);
      outgoing.on('error', error => {
        reject(request.signal?.aborted === true ? (request.signal.reason as Error) : broken(request, error));
      });
      outgoing.end(body);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw await refusal(request, response);
  }
}

function broken(request: KubeRequest, cause: unknown): KubeRequestError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new KubeRequestError(0, `${request.method} ${request.path}: ${why}`, undefined, undefined, {cause});
}

/** A failed answer as an error: its body is a Status (metav1) unless something in between answered. */
async function refusal(request: KubeRequest, response: IncomingMessage): Promise<KubeRequestError> {
  const status = response.statusCode ?? 0;
  const body = (await readJson(response).catch(() => undefined)) as {message?: string; reason?: string} | undefined;
  const retryAfter = Number(response.headers['retry-after']);
  return new KubeRequestError(
    status,
    `${request.method} ${request.path}: ${status} ${body?.message ?? response.statusMessage ?? ''}`.trimEnd(),
    body?.reason,
    Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined,
  );
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? undefined : JSON.parse(text);
}
