import type {EventBatch} from '@scope/core';

export const session = {id: 's1', process: {pid: 7, name: 'nginx', executable: '/usr/sbin/nginx'}};

/** A batch as the decoder would write it. */
export function fakeBatch(...events: readonly [string, object?][]): EventBatch {
  const lines = events.map(([event, attributes = {}]) => {
    return `${JSON.stringify({time: '2026-01-02T03:04:05.123456789Z', event, process: session.process, attributes})}\n`;
  });
  return {session, events: events.length, lines: Buffer.from(lines.join(''))};
}
