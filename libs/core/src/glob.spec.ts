import {globMatcher} from './glob';

describe('globs', () => {
  it.each([
    ['http.*', 'http.exchange', true],
    ['http.*', 'xhttp.exchange', false],
    ['/api/*', '/api/v1/users', true],
    ['n?inx', 'nginx', true],
    ['a.b', 'axb', false],
    ['(x)', '(x)', true],
    ['*', '', true],
  ])('%s and %s: %p', (glob, text, matches) => {
    expect(globMatcher([glob])(text)).toBe(matches);
  });

  it('a list of none matches nothing', () => {
    expect(globMatcher([])('x')).toBe(false);
  });
});
