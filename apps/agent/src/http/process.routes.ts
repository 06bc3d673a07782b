import type {ProcessTable, SessionService} from '@scope/attach';
import {commandLine, isFinal, refuseProcess} from '@scope/attach';
import type {Routes} from './router';

/** GET /v1/processes: every process, what holds it, and why it could not be scoped (as far as looking tells). */
export function addProcessRoutes(router: Routes, processes: ProcessTable, sessions: SessionService): void {
  router.on('GET', '/v1/processes', () => {
    const live = new Map(
      sessions
        .sessions()
        .filter(({state}) => !isFinal(state))
        .map(view => [`${view.pid} ${view.startTime}`, view]),
    );
    return {
      processes: processes.list().map(facts => ({
        pid: facts.pid,
        name: facts.name,
        user: facts.user,
        command: commandLine(facts),
        session: live.get(`${facts.pid} ${facts.startTime}`)?.id,
        reason: refuseProcess(facts, {uid: 0, ownPid: process.pid})?.reason,
      })),
    };
  });
}
