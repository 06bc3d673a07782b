// npm run build [-- --no-native]: type-free and fast. swc turns TypeScript into ES modules with decorator metadata
// (which esbuild can't emit), esbuild bundles them into dist/{agent,controller,cli}.cjs: ES modules keep tree shaking.
// The native parts are built first, by scripts/build-native.mjs.
import './lib/node-version.mjs';
import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {root, run, say, toldHelp} from './lib/steps.mjs';
import {ensureNodeModules} from './lib/node-modules.mjs';

if (toldHelp()) process.exit(0);
ensureNodeModules();
if (!process.argv.includes('--no-native')) buildNative();
await bundleAll();

function buildNative() {
  const script = join(root, 'scripts/build-native.mjs');
  if (!existsSync(script)) throw new Error('scripts/build-native.mjs is missing');
  run('native parts', process.execPath, [script]);
}

async function bundleAll() {
  const {build} = await import('esbuild');
  const {transformFile} = await import('@swc/core');
  const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const revision = gitRevision();

  const swc = {
    name: 'swc',
    setup(build) {
      build.onLoad({filter: /\.ts$/}, async ({path}) => {
        const {code} = await transformFile(path, {
          sourceMaps: 'inline',
          module: {type: 'es6'},
          jsc: {
            target: 'es2022',
            parser: {syntax: 'typescript', decorators: true},
            transform: {legacyDecorator: true, decoratorMetadata: true},
            keepClassNames: true,
          },
        });
        return {contents: code, loader: 'js'};
      });
    },
  };

  // Nest and its companions try these and do without.
  const optional = [
    '@nestjs/microservices',
    '@nestjs/websockets',
    '@nestjs/websockets/socket-module',
    '@nestjs/microservices/microservices-module',
    '@nestjs/platform-express',
    'class-transformer',
    'class-transformer/storage',
    'class-validator',
    'cpu-features',
    './crypto/build/Release/sshcrypto.node',
    '*.node',
  ];

  mkdirSync(join(root, 'dist'), {recursive: true});
  for (const app of ['agent', 'controller', 'cli']) {
    const entry = join(root, 'apps', app, 'src/main.ts');
    if (!existsSync(entry)) {
      say(`apps/${app}: no src/main.ts, left out`);
      continue;
    }
    const outfile = join(root, 'dist', `${app}.cjs`);
    const {metafile} = await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: 'node',
      target: 'node20.19',
      format: 'cjs',
      keepNames: app !== 'cli',
      minifyWhitespace: true,
      minifySyntax: true,
      // The command loads nothing that it does not need: its maps would only slow it down.
      sourcemap: app === 'cli' ? false : 'external',
      legalComments: 'none',
      metafile: true,
      logLevel: 'warning',
      tsconfig: join(root, 'tsconfig.json'),
      external: optional,
      // The package, not Node's module of that name, which Node warns of wherever it is loaded.
      alias: {punycode: 'punycode/'},
      define: {'process.env.SCOPE_BUILD': JSON.stringify(JSON.stringify({version, revision}))},
      plugins: [swc],
    });
    writeFileSync(join(root, 'dist', `${app}.meta.json`), JSON.stringify(metafile));
    say(`dist/${app}.cjs: ${(statSync(outfile).size / 1e6).toFixed(2)} MB`);
  }
}

function gitRevision() {
  try {
    return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {cwd: root, stdio: ['ignore', 'pipe', 'ignore']})
      .toString()
      .trim();
  } catch {
    return 'unknown';
  }
}
