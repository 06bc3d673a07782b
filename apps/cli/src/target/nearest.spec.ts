import fc from 'fast-check';
import {distance, nearest} from './nearest';

it.each([
  ['ngnix', ['redis-server', 'nginx', 'node'], 'nginx'],
  ['htpp', ['fs', 'net', 'dns', 'http', 'console'], 'http'],
  ['postgre', ['postgres', 'prometheus'], 'postgres'],
  ['NGINX', ['nginx'], undefined],
  ['zsh', ['bash', 'nginx'], undefined],
  ['x', ['y'], 'y'],
  ['x', [], undefined],
])('%s among %p is %s', (wrong, words, meant) => {
  expect(nearest(wrong, words)).toBe(meant);
});

it('is a distance: nothing to itself, the same both ways, never more than the longer one', () => {
  fc.assert(
    fc.property(fc.string({maxLength: 8}), fc.string({maxLength: 8}), (a, b) => {
      expect(distance(a, a)).toBe(0);
      expect(distance(a, b)).toBe(distance(b, a));
      expect(distance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
    }),
  );
});
