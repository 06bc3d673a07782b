export * from './cgroup.parser';
export * from './container-directory.port';
export * from './container-id.parser';
export * from './container-scanner';
export * from './docker/docker-directory';
export * from './namespace-pid.parser';
export * from './proc-source';
export * from './proc-source.port';
