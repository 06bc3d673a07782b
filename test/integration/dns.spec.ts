// Names that a program looks up, at a tiny name server of the test's on loopback.
import {compileC} from '../support/compile';
import {startNameServer} from '../support/name-server';
import {Scope, ofKind} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

/** Not what a resolver of this machine would use; the port has to be 53. */
const NAME_SERVER = '127.53.0.53';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

it('a name that is found, and one that is not, are dns.query events', async () => {
  await startNameServer(stage, NAME_SERVER, new Map([['scope.test', '192.0.2.7']]));
  const {program} = await startTester(stage, 'resolve.c', {
    args: [NAME_SERVER],
    compile: source => compileC(source, {libraries: ['-lresolv']}),
  });
  const scope = await Scope.open(stage);
  const session = await scope.attach(program.pid);
  expect(await program.ask('scope.test', 'address')).toBe('192.0.2.7');
  await program.ask('nowhere.scope.test', 'error');
  const queries = await until('two queries', () => {
    const found = scope.events(session).filter(ofKind('dns.query'));
    return found.length >= 2 && found;
  });
  const [found, missing] = queries;
  expect(found?.attributes).toMatchObject({'dns.question.name': 'scope.test', 'dns.answers': ['192.0.2.7']});
  expect(missing?.attributes).toMatchObject({'dns.question.name': 'nowhere.scope.test', 'error.type': 'NXDOMAIN'});
  expect(queries.every(({attributes}) => Number(attributes['scope.dns.duration']) >= 0)).toBe(true);
  const ended = await scope.detach(program.pid);
  expect(ended.counts.lost).toBe(0);
});
