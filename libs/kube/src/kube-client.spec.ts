import type {ScopeTarget} from '@scope/api';
import {KubeClient} from './kube-client';
import {KubeRequestError} from './kube-request-error';
import {ResourceClient} from './resource-client';
import {resourceTypes} from './resource-type';
import {json, ScriptedServer, status, watch} from './scripted-server.fake';

describe('KubeClient and ResourceClient', () => {
  let server: ScriptedServer;
  let client: KubeClient;
  let targets: ResourceClient<ScopeTarget>;

  beforeEach(async () => {
    server = await ScriptedServer.start();
    client = new KubeClient(server.connection, 'scope-test');
    targets = new ResourceClient(client, resourceTypes.scopeTargets);
  });

  afterEach(async () => {
    client.close();
    await server.close();
  });

  it('sends fifty requests over one connection, authenticated', async () => {
    for (let i = 0; i < 50; i += 1) {
      server.script(json({metadata: {name: 'x'}}));
      await targets.get({namespace: 'shop', name: 'x'});
    }
    expect(server.connections).toBe(1);
    expect(server.requests[49]?.headers).toMatchObject({authorization: 'Bearer token', 'user-agent': 'scope-test'});
  });

  it('gives undefined for what does not exist', async () => {
    server.script(status(404, 'not found', 'NotFound'));
    await expect(targets.get({namespace: 'shop', name: 'x'})).resolves.toBeUndefined();
  });

  it('applies by server-side apply, forced, in the name of one manager', async () => {
    server.script(json({metadata: {name: 'x'}}));
    const fields = {metadata: {labels: {a: 'b'}}, status: {observedGeneration: 1}};
    await targets.apply({namespace: 'shop', name: 'x'}, fields, {fieldManager: 'scope-agent', subresource: 'status'});
    const [request] = server.requests;
    expect(request).toMatchObject({
      method: 'PATCH',
      path: '/apis/scopeattach.dev/v1alpha1/namespaces/shop/scopetargets/x/status',
      body: {
        apiVersion: 'scopeattach.dev/v1alpha1',
        kind: 'ScopeTarget',
        metadata: {name: 'x', namespace: 'shop', labels: {a: 'b'}},
        status: {observedGeneration: 1},
      },
    });
    expect(request?.headers['content-type']).toBe('application/apply-patch+yaml');
    expect(Object.fromEntries(request?.query ?? [])).toEqual({fieldManager: 'scope-agent', force: 'true'});
  });

  it('deletes only the object it means, and is content when that is gone', async () => {
    server.script(status(404, 'not found', 'NotFound'));
    await targets.delete({namespace: 'shop', name: 'x'}, 'uid-1');
    expect(server.requests[0]?.body).toMatchObject({preconditions: {uid: 'uid-1'}});
  });

  it('carries what the server said', async () => {
    server.script(status(409, 'someone else wrote', 'Conflict'));
    await expect(targets.patch({namespace: 'shop', name: 'x'}, {})).rejects.toMatchObject({
      status: 409,
      kubeReason: 'Conflict',
      message: expect.stringContaining('someone else wrote') as string,
    });
  });

  it('says so when the connection is silent', async () => {
    server.script(() => undefined);
    const request = client.send({method: 'GET', path: '/api', idleTimeoutMs: 20});
    await expect(request).rejects.toThrow(/GET \/api: nothing heard for 20 ms/);
    await expect(request).rejects.toBeInstanceOf(KubeRequestError);
  });

  it('gives lines however the bytes are cut, and the error when a watch falls silent', async () => {
    server.script(watch(['{"a":', '1}\n{"b":2}\n']));
    const lines: string[] = [];
    const read = async (): Promise<void> => {
      for await (const line of client.lines({method: 'GET', path: '/w', idleTimeoutMs: 500})) lines.push(line);
    };
    await expect(read()).rejects.toBeInstanceOf(KubeRequestError);
    expect(lines).toEqual(['{"a":1}', '{"b":2}']);
  });
});
