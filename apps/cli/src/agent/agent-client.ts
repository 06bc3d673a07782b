import type {IncomingMessage} from 'node:http';
import {request} from 'node:http';
import {dirname, join} from 'node:path';
import {ScopeError, errnoOf} from '@scope/core';

/** Silence after which an agent counts as stuck. An attach takes at most the injector's time, three times over. */
const SILENCE_MS = 90_000;

/**
 * The agent over its unix socket. Every method rejects with the ScopeError that it answers, AgentUnavailable, or Timeout
 * when it took the request and then said nothing.
 */
export class AgentClient {
  constructor(readonly socketPath: string) {}

  async get<T>(path: string): Promise<T> {
    return (await this.json('GET', path)) as T;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    return (await this.json('POST', path, body)) as T;
  }

  async delete<T>(path: string): Promise<T> {
    return (await this.json('DELETE', path)) as T;
  }

  async text(path: string): Promise<string> {
    return (await read(await this.send('GET', path))).toString('utf8');
  }

  /** The response itself, whose body goes on for as long as the agent writes; `signal` ends it. */
  async stream(path: string, signal?: AbortSignal): Promise<IncomingMessage> {
    const response = await this.send('GET', path, undefined, signal);
    if (response.statusCode !== 200) throw errorOf(await read(response), response.statusCode);
    return response;
  }

  /** True when an agent answers. Rejects (NotRoot) only when the socket is there but not ours to open. */
  async isAnswering(): Promise<boolean> {
    try {
      await this.get('/v1/health');
      return true;
    } catch (thrown) {
      if (ScopeError.of(thrown).reason === 'NotRoot') throw thrown;
      return false;
    }
  }

  private async json(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await this.send(method, path, body);
    const bytes = await read(response);
    if ((response.statusCode ?? 500) >= 300) throw errorOf(bytes, response.statusCode);
    return JSON.parse(bytes.toString('utf8'));
  }

  private send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = request({
        socketPath: this.socketPath,
        path,
        method,
        headers: body === undefined ? {} : {'content-type': 'application/json'},
        ...(signal && {signal}),
      });
      outgoing.setTimeout(SILENCE_MS, () => {
        const message = `The agent on ${this.socketPath} took ${method} ${path} and did not answer in ${SILENCE_MS / 1000} s.`;
        reject(
          new ScopeError('Timeout', message, {advice: `See its log: ${join(dirname(this.socketPath), 'agent.log')}`}),
        );
        outgoing.destroy();
      });
      outgoing.on('error', cause => {
        reject(this.unreachable(cause));
      });
      outgoing.on('response', response => {
        // A stream may be silent for as long as it likes.
        outgoing.setTimeout(0);
        resolve(response);
      });
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  private unreachable(cause: Error): ScopeError {
    const errno = errnoOf(cause);
    if (errno === 'EACCES' || errno === 'EPERM') {
      return new ScopeError('NotRoot', `The agent's socket ${this.socketPath} is root's.`, {
        cause,
        advice: 'Run it with sudo.',
      });
    }
    const why = errno === 'ENOENT' || errno === 'ECONNREFUSED' ? 'no agent runs' : cause.message;
    return new ScopeError('AgentUnavailable', `The agent does not answer on ${this.socketPath}: ${why}.`, {cause});
  }
}

async function read(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function errorOf(bytes: Buffer, status: number | undefined): ScopeError {
  const text = bytes.toString('utf8');
  try {
    const error = ScopeError.fromView((JSON.parse(text) as {error?: unknown}).error);
    if (error !== undefined) return error;
  } catch {
    // Not JSON: told below.
  }
  return new ScopeError('InternalError', `The agent answered ${status ?? '?'}: ${text.slice(0, 200)}`);
}
