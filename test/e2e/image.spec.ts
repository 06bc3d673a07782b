// What is in the image, and which Node it runs with.
import {execFileSync} from 'node:child_process';
import {join} from 'node:path';
import {repositoryRoot} from '../cluster/layout';
import {SYSTEM_NAMESPACE} from './support/environment';
import {kubectl} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {podNames} from './support/workloads';

const addon = join(repositoryRoot, 'dist/native/scope.node');
const fetched = (version: string): string =>
  execFileSync(process.execPath, [join(repositoryRoot, 'scripts/lib/npm-program.mjs'), `node-${version}`], {
    encoding: 'utf8',
  }).trim();

whenCluster('the image', () => {
  it.each(['agent', 'controller'])('runs the %s with Node 24', async component => {
    const [pod = ''] = await podNames(SYSTEM_NAMESPACE, `app.kubernetes.io/component=${component}`);
    const version = await kubectl('exec', '-n', SYSTEM_NAMESPACE, pod, '--', 'node', '--version');
    expect(version).toMatch(/^v24\./);
  });

  it.each(['20.19.0', '24.22.3'])('has an addon that Node %s loads', version => {
    const code = 'const {Hub} = require(process.argv[1]); console.log(process.version, typeof Hub)';
    const said = execFileSync(fetched(version), ['-e', code, addon], {encoding: 'utf8'});
    expect(said).toBe(`v${version} function\n`);
  });
});
