import {mkdtempSync, rmSync} from 'node:fs';
import type {Server} from 'node:http';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {DockerDirectory} from './docker-directory';

/** The engine's answers as its API reference (v1.43, ContainerInspect) has them. */
const containers: Readonly<Record<string, object>> = {
  web: {Id: 'a'.repeat(64), Name: '/web', Config: {Image: 'nginx:1'}, State: {Running: true, Pid: 4711}},
  gone: {Id: 'b'.repeat(64), Name: '/gone', Config: {Image: 'nginx:1'}, State: {Running: false, Pid: 0}},
};

describe('DockerDirectory', () => {
  let server: Server;
  let dir: string;
  let directory: DockerDirectory;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'scope-docker-'));
    const socketPath = join(dir, 'docker.sock');
    server = createServer((request, response) => {
      const name = /\/containers\/([^/]+)\/json/.exec(request.url ?? '')?.[1] ?? '';
      const found = containers[name];
      response.writeHead(found === undefined ? 404 : 200, {'content-type': 'application/json'});
      response.end(JSON.stringify(found ?? {message: `No such container: ${name}`}));
    });
    await new Promise<void>(resolve => server.listen(socketPath, resolve));
    directory = new DockerDirectory(socketPath);
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
    rmSync(dir, {recursive: true, force: true});
  });

  it('finds a running container', async () => {
    await expect(directory.find('web')).resolves.toEqual({
      id: 'a'.repeat(64),
      name: 'web',
      image: 'nginx:1',
      pid: 4711,
    });
  });

  it('finds neither a stopped one nor one that never was', async () => {
    await expect(directory.find('gone')).resolves.toBeUndefined();
    await expect(directory.find('nobody')).resolves.toBeUndefined();
  });

  it('says so when the engine can not be asked', async () => {
    const nowhere = new DockerDirectory(join(dir, 'nothing.sock'));
    await expect(nowhere.find('web')).rejects.toMatchObject({reason: 'NoContainer'});
  });
});
