import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Server} from 'node:https';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ClusterConnection} from './cluster-connection';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

/** Answers one request; the response is the plain Node one. */
export type Step = (request: SeenRequest, response: ServerResponse) => void;

/** An API server for tests: TLS on loopback, each request answered by the script's next step, all requests kept. */
export class ScriptedServer {
  readonly requests: SeenRequest[] = [];
  connections = 0;
  private readonly steps: Step[] = [];

  private constructor(
    private readonly server: Server,
    private readonly certificate: Buffer,
  ) {
    server.on('secureConnection', () => {
      this.connections += 1;
    });
    server.on('request', (request, response) => void this.answer(request, response));
  }

  static async start(): Promise<ScriptedServer> {
    const dir = mkdtempSync(join(tmpdir(), 'scope-tls-'));
    try {
      const [key, certificate] = [join(dir, 'key'), join(dir, 'crt')];
      const newCertificate = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2';
      const names = ['-addext', 'subjectAltName=DNS:localhost'];
      execFileSync('openssl', [...newCertificate.split(' '), ...names, '-keyout', key, '-out', certificate], {
        stdio: 'ignore',
      });
      const server = createServer({key: readFileSync(key), cert: readFileSync(certificate)});
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
      return new ScriptedServer(server, readFileSync(certificate));
    } finally {
      rmSync(dir, {recursive: true});
    }
  }

  /** What is answered next, in order. A request without a step left is answered 500. */
  script(...steps: readonly Step[]): void {
    this.steps.push(...steps);
  }

  get connection(): ClusterConnection {
    const {port} = this.server.address() as AddressInfo;
    return {
      server: `https://localhost:${port}`,
      namespace: 'default',
      authenticate: () => Promise.resolve({ca: this.certificate, headers: {authorization: 'Bearer token'}}),
    };
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const url = new URL(request.url ?? '/', 'https://localhost');
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    this.requests.push(seen);
    const step = this.steps.shift() ?? status(500, 'no step left');
    step(seen, response);
  }
}

/** Answers 200 with a JSON body. */
export function json(body: unknown): Step {
  return (_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(body));
  };
}

/** Answers with a Status object. */
export function status(code: number, message: string, reason?: string, headers: Record<string, string> = {}): Step {
  return (_request, response) => {
    response.writeHead(code, {'content-type': 'application/json', ...headers});
    response.end(JSON.stringify({kind: 'Status', code, message, reason}));
  };
}

/** Answers a watch with these events, then ends it, breaks it, or leaves it open. */
export function watch(events: readonly unknown[], then: 'end' | 'break' | 'stay' = 'stay'): Step {
  return (_request, response) => {
    response.writeHead(200, {'content-type': 'application/json'});
    response.flushHeaders();
    for (const event of events) response.write(typeof event === 'string' ? event : `${JSON.stringify(event)}\n`);
    if (then === 'end') response.end();
    if (then === 'break') setImmediate(() => response.socket?.destroy());
  };
}
