// The chart by itself, with the real helm: no cluster is asked.
import {parseAllDocuments} from 'yaml';
import {ensureBinary} from '../cluster/binaries';
import {repositoryRoot} from '../cluster/layout';
import {run, succeed} from '../support/program';
import {whenCluster} from './support/when-cluster';

interface Manifest {
  readonly kind: string;
  readonly metadata: {readonly name: string; readonly namespace?: string};
  readonly spec?: {readonly template?: {readonly spec: PodSpec}};
}

interface PodSpec {
  readonly hostPID?: boolean;
  readonly serviceAccountName: string;
  readonly containers: readonly {
    readonly image: string;
    readonly args: readonly string[];
    readonly env?: readonly {readonly name: string; readonly value?: string}[];
    readonly securityContext: {
      readonly privileged?: boolean;
      readonly capabilities: {readonly add?: readonly string[]};
    };
  }[];
}

whenCluster('the chart', () => {
  let helm: string;
  beforeAll(async () => {
    helm = await ensureBinary('helm');
  }, 600_000);

  /** A running cluster's version is not asked for: one that the chart allows is given. */
  const template = (...args: readonly string[]): string[] => [
    ...[
      'template',
      'scope',
      `${repositoryRoot}/charts/scope`,
      '--namespace',
      'scope-system',
      '--kube-version',
      '1.35.0',
    ],
    ...args,
  ];
  const rendered = async (...args: readonly string[]): Promise<Manifest[]> =>
    parseAllDocuments(await succeed(helm, template(...args)))
      .map(document => document.toJS() as Manifest | null)
      .filter(manifest => manifest !== null);
  const podOf = (manifests: readonly Manifest[], kind: string): PodSpec => {
    const found = manifests.find(manifest => manifest.kind === kind)?.spec?.template?.spec;
    if (found === undefined) throw new Error(`no ${kind} is rendered`);
    return found;
  };

  it('passes helm lint, warnings and all', async () => {
    const said = await succeed(helm, [
      'lint',
      '--strict',
      '--kube-version',
      '1.35.0',
      `${repositoryRoot}/charts/scope`,
    ]);
    expect(said).toMatch(/1 chart\(s\) linted, 0 chart\(s\) failed/);
    expect(said).not.toMatch(/\[(WARNING|ERROR)\]/);
  });

  it('renders an unprivileged agent with four capabilities, and a controller with none', async () => {
    const manifests = await rendered();
    const agent = podOf(manifests, 'DaemonSet');
    expect(agent.hostPID).toBe(true);
    expect(agent.containers[0]?.securityContext).toMatchObject({
      privileged: false,
      capabilities: {drop: ['ALL'], add: ['SYS_PTRACE', 'SYS_ADMIN', 'SYS_CHROOT', 'DAC_OVERRIDE']},
    });
    const controller = podOf(manifests, 'Deployment');
    expect(controller.hostPID).toBeUndefined();
    expect(controller.containers[0]?.securityContext.capabilities).toEqual({drop: ['ALL']});
    const definitions = manifests.filter(({kind}) => kind === 'CustomResourceDefinition');
    expect(definitions.map(({metadata}) => metadata.name).sort()).toEqual(
      ['clusterscopeattaches', 'scopeattaches', 'scopetargets'].map(plural => `${plural}.scopeattach.dev`),
    );
  });

  it('does with each value what the README says', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const manifests = await rendered(
      ...['--set', `image.registry=mirror.test,image.digest=${digest}`],
      ...['--set', 'otlp.endpoint=http://collector:4318,agent.stdoutEvents=false,logLevel=debug'],
      ...['--set', 'crds.install=false,rbac.create=false,nodePolicy.enabled=false'],
      ...['--set', 'agent.serviceAccount.create=false,agent.serviceAccount.name=mine,controller.replicas=2'],
    );
    const agent = podOf(manifests, 'DaemonSet');
    expect(agent.containers[0]).toMatchObject({image: `mirror.test/scope@${digest}`});
    expect(agent.containers[0]?.args).not.toContain('--stdout-events');
    expect(agent.containers[0]?.env).toEqual(
      expect.arrayContaining([
        {name: 'SCOPE_OTLP_ENDPOINT', value: 'http://collector:4318'},
        {name: 'SCOPE_LOG_LEVEL', value: 'debug'},
      ]),
    );
    expect(agent.serviceAccountName).toBe('mine');
    expect(manifests.find(({kind}) => kind === 'Deployment')).toMatchObject({spec: {replicas: 2}});
    expect([...new Set(manifests.map(({kind}) => kind))].sort()).toEqual([
      ...['DaemonSet', 'Deployment', 'Lease', 'ServiceAccount'],
    ]);
  });

  it.each([
    ['a value that is none', 'agent.stdoutEvent=true', /additional properties 'stdoutEvent' not allowed/],
    ['a word of no meaning', 'logLevel=loud', /logLevel.*value must be one of/s],
    ['an endpoint without a scheme', 'otlp.endpoint=collector:4318', /otlp.endpoint.*does not match pattern/s],
    ['no account at all', 'agent.serviceAccount.create=false', /agent.serviceAccount.name must be set/],
  ])('refuses %s', async (_what, value, message) => {
    const {code, stderr} = await run(helm, template('--set', value));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});
