import {ScopeError} from '@scope/core';
import type Docker from 'dockerode';
import type {ContainerDirectory, ContainerFacts} from '../container-directory.port';

/** Containers of the Docker engine behind a unix socket. The client is loaded with the first question. */
export class DockerDirectory implements ContainerDirectory {
  private docker: Promise<Docker> | undefined;

  constructor(private readonly socketPath = '/var/run/docker.sock') {}

  async find(nameOrId: string): Promise<ContainerFacts | undefined> {
    this.docker ??= import('dockerode').then(({default: Client}) => new Client({socketPath: this.socketPath}));
    const docker = await this.docker;
    try {
      const container = await docker.getContainer(nameOrId).inspect();
      if (!container.State.Running) return undefined;
      return {
        id: container.Id,
        name: container.Name.replace(/^\//, ''),
        image: container.Config.Image,
        pid: container.State.Pid,
      };
    } catch (error) {
      if ((error as {statusCode?: unknown}).statusCode === 404) return undefined;
      throw new ScopeError('NoContainer', `Docker could not be asked about "${nameOrId}" on ${this.socketPath}.`, {
        cause: error,
        advice: 'Check that the engine runs and that its socket is at this path.',
      });
    }
  }
}
