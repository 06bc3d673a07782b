import type {ScopeEvent} from '@scope/api';
import pc from 'picocolors';
import {eventText} from './event-text';

const colors = pc.createColors(false);

function said(
  event: ScopeEvent['event'],
  attributes: ScopeEvent['attributes'],
  more: Partial<ScopeEvent> = {},
): string {
  const process = {pid: 7, name: 'web', executable: '/usr/bin/web'};
  return eventText({time: '2026-01-02T03:04:05.123456789Z', event, process, attributes, ...more}, colors);
}

describe('eventText', () => {
  it.each<[ScopeEvent['event'], ScopeEvent['attributes'], string]>([
    ['process.exit', {'process.exit.code': 1}, 'code 1'],
    ['process.exit', {'scope.exit.signal': 'SIGKILL'}, 'by SIGKILL'],
    ['process.exit', {}, ''],
    ['fs.delete', {'file.path': '/a\u001b[2J'}, '/a?[2J'],
    ['process.fork', {'scope.child.pid': 9}, 'scope.child.pid=9'],
  ])('%s %j', (event, attributes, text) => {
    expect(said(event, attributes)).toBe(`03:04:05.123 web[7] ${event.padEnd(14)} ${text}`);
  });

  it('names the pod, and what was lost before', () => {
    const process = {pid: 7, name: 'web', executable: '/usr/bin/web', namespace: 'shop', pod: 'web-0'};
    const text = said('fs.delete', {'file.path': '/a'}, {process, lost: {records: 3}});
    expect(text).toBe('03:04:05.123 shop/web-0/web[7] fs.delete      /a (lost before: records=3)');
  });
});
