// cargo fmt --check, then clippy with every warning an error; and the fuzz targets, which include the injector's sources, compile.
import {join} from 'node:path';
import {root, run, script} from './lib/steps.mjs';

await script(() => {
  const cwd = join(root, 'native');
  run('cargo fmt --check', 'cargo', ['fmt', '--all', '--check'], {cwd});
  const fuzz = ['check', '--release', '--quiet', '--locked', '--target-dir', join(cwd, 'target/fuzz')];
  run('cargo check of the fuzz targets', 'cargo', fuzz, {cwd: join(cwd, 'fuzz')});
  run('cargo clippy', 'cargo', ['clippy', '--release', '--all-targets', '--quiet', '--', '-D', 'warnings'], {cwd});
});
