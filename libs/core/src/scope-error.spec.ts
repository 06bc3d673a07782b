import {REASONS} from '@scope/api';
import {EXIT_CODES, REASON_TABLE} from './reason-table';
import {ScopeError, errnoOf} from './scope-error';

describe('ScopeError', () => {
  it('survives a trip over the socket', () => {
    const error = new ScopeError('Zombie', 'It is dead.', {details: {pid: 7}, advice: 'Look at its parent.'});
    const copy = ScopeError.fromView(JSON.parse(JSON.stringify(error.toView())));
    expect(copy?.toView()).toEqual(error.toView());
    expect(copy?.exitCode).toBe(REASON_TABLE.Zombie.exitCode);
  });

  it('says what to do where the thrower did not', () => {
    expect(new ScopeError('NotRoot', 'No.').text).toBe(`No.\n${REASON_TABLE.NotRoot.advice}`);
  });

  it.each([undefined, null, 'text', {}, {reason: 'Nonsense', message: 'x'}, {reason: 'Zombie'}])(
    'does not make an error of %p',
    view => {
      expect(ScopeError.fromView(view)).toBeUndefined();
    },
  );

  it('keeps ours and wraps the rest', () => {
    const ours = new ScopeError('Timeout', 'slow');
    expect(ScopeError.of(ours)).toBe(ours);
    const wrapped = ScopeError.of(new TypeError('oops'), 'Reading failed');
    expect(wrapped).toMatchObject({reason: 'InternalError', message: 'Reading failed: oops'});
  });
});

describe('the table of reasons', () => {
  it.each(REASONS)('%s has an exit code that is documented, a meaning and an advice', reason => {
    const {exitCode, meaning, advice} = REASON_TABLE[reason];
    expect(EXIT_CODES).toHaveProperty([exitCode]);
    expect(meaning).toMatch(/\.$/);
    expect(advice).toMatch(/\.$/);
  });
});

describe('errnoOf', () => {
  it('finds the code of a system error only', () => {
    expect(errnoOf(Object.assign(new Error('no'), {code: 'ENOENT'}))).toBe('ENOENT');
    expect(errnoOf(new Error('no'))).toBeUndefined();
    expect(errnoOf('ENOENT')).toBeUndefined();
  });
});
