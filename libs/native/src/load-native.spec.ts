import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {ScopeError} from '@scope/core';
import {asAddon, loadNative} from './load-native';

describe('loadNative', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'scope-native-'));
  });
  afterEach(() => {
    rmSync(folder, {recursive: true});
  });

  function errorOf(path: string): ScopeError {
    try {
      loadNative(path);
    } catch (thrown) {
      if (thrown instanceof ScopeError) return thrown;
    }
    throw new Error('a ScopeError was expected');
  }

  it('says what to build when there is no file', () => {
    const error = errorOf(join(folder, 'scope.node'));
    expect(error.reason).toBe('NotBuilt');
    expect(error.text).toContain(join(folder, 'scope.node'));
    expect(error.advice).toContain('npm run build:native');
  });

  it('says what to build when the file is no library of this machine', () => {
    const path = join(folder, 'scope.node');
    writeFileSync(path, 'not a library');
    const error = errorOf(path);
    expect(error.reason).toBe('ABIMismatch');
    expect(error.text).toContain(path);
    expect(error.details).toEqual({path});
  });

  it('looks where SCOPE_NATIVE says', () => {
    const before = process.env.SCOPE_NATIVE;
    process.env.SCOPE_NATIVE = join(folder, 'elsewhere.node');
    try {
      expect(() => loadNative()).toThrow(/elsewhere\.node/);
    } finally {
      if (before === undefined) delete process.env.SCOPE_NATIVE;
      else process.env.SCOPE_NATIVE = before;
    }
  });

  it.each([
    ['of another interface', {interface: 99, Hub: Map}, /interface 99/],
    ['without a hub', {interface: 1}, /does not export/],
    ['of something else', 5, /does not export/],
  ])('refuses a library %s', (_what, exports, message) => {
    expect(() => asAddon(exports, '/scope.node')).toThrow(message);
  });
});
