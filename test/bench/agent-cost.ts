// What the agent itself takes: processor time for 100,000 HTTP exchanges, and memory.
import {cpuSeconds, residentKiB} from '../support/proc';
import {Scope} from '../support/scope';
import {startNginx} from '../support/servers';
import {Stage} from '../support/stage';
import type {Bench} from './figure';
import {flawOf} from './figure';
import {ab} from './load-generators';
import {settled} from './settled';
import {median, spread} from './statistics';

const EXCHANGES = 100_000;

export const agentCost: Bench = async ({quick, say}) => {
  const stage = new Stage();
  try {
    const {program, port} = await startNginx(stage, {accessLog: false});
    const scope = await Scope.open(stage);
    const agent = scope.agent.pid;
    const cpu: number[] = [];
    const resident: number[] = [];
    let seen = 0;
    let lost = 0;
    const rounds = quick ? 1 : 5;
    for (let round = 0; round < rounds; round++) {
      const session = await scope.attach(program.pid);
      const before = cpuSeconds(agent);
      await ab(port, EXCHANGES);
      await settled(scope, session);
      cpu.push(cpuSeconds(agent) - before);
      resident.push(residentKiB(agent) / 1024);
      const ended = await scope.detach(program.pid);
      lost += ended.counts.lost;
      seen += scope.eventCounts(ended)['http.exchange'] ?? 0;
    }
    say(`agent: ${median(cpu).toFixed(2)} s for ${EXCHANGES} exchanges, ${Math.max(...resident).toFixed(0)} MiB`);
    return [
      {
        what: 'agent: processor time for 100,000 exchanges',
        value: median(cpu),
        spread: spread(cpu),
        unit: 's',
        bar: {atMost: 1.2},
        flaw: flawOf(lost),
        note: `to NDJSON history; ${seen} of ${rounds * EXCHANGES} exchanges seen`,
        raw: {cpu},
      },
      {
        what: 'agent: resident set',
        value: Math.max(...resident),
        unit: 'MiB',
        bar: {atMost: 140},
        note: 'the largest of all rounds',
        raw: {resident},
      },
    ];
  } finally {
    await stage.close();
  }
};
