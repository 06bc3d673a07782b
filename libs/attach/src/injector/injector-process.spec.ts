import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {InjectorProcess} from './injector-process';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scope-injector-'));
});
afterEach(() => {
  rmSync(folder, {recursive: true});
});

function injector(script: string, timeoutMs = 10_000): InjectorProcess {
  const path = join(folder, 'scope-inject');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return new InjectorProcess({path, timeoutMs});
}

describe('InjectorProcess', () => {
  it('hands on what it is asked, and nothing that the verb does not know', async () => {
    const it = injector(`echo '{"ok":true,"args":"'"$*"'"}'`);
    expect(await it.inspect({pid: 7, enter: true, console: true})).toMatchObject({args: 'inspect --pid 7'});
    await expect(it.attach({pid: 7, enter: true, console: true, captureBytes: 512})).rejects.toMatchObject({
      reason: 'InternalError',
    });
  });

  it('replaces only where it is told to', async () => {
    const it = injector(`printf '{"ok":false,"reason":"AlreadyScoped","message":"%s"}\\n' "$*"; exit 1`);
    await expect(it.attach({pid: 7, replace: true})).rejects.toMatchObject({message: 'attach --pid 7 --replace'});
    await expect(it.attach({pid: 7})).rejects.toMatchObject({message: 'attach --pid 7'});
  });

  it('is told the size of rings where it makes some', async () => {
    injector(`printf '{"ok":false,"reason":"NotScoped","message":"%s"}\\n' "$*"; exit 1`);
    const it = new InjectorProcess({path: join(folder, 'scope-inject'), ringBytes: 65_536});
    await expect(it.attach({pid: 7})).rejects.toMatchObject({message: 'attach --pid 7 --ring-bytes 65536'});
    await expect(it.detach({pid: 7})).rejects.toMatchObject({message: 'detach --pid 7'});
  });

  it('is killed when it takes too long', async () => {
    await expect(injector('exec sleep 60', 50).detach({pid: 7})).rejects.toMatchObject({reason: 'Timeout'});
  });

  it('is killed when the attach is interrupted', async () => {
    const interruption = new AbortController();
    const attempt = injector('exec sleep 60').attach({pid: 7}, interruption.signal);
    interruption.abort();
    await expect(attempt).rejects.toMatchObject({reason: 'Interrupted'});
  });

  it('that is not there is NotBuilt, with its path', async () => {
    const missing = new InjectorProcess({path: join(folder, 'nowhere')});
    await expect(missing.check({pid: 7})).rejects.toMatchObject({
      reason: 'NotBuilt',
      details: {path: join(folder, 'nowhere')},
    });
  });
});
