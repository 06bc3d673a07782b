// Imports point one way: apps → attach, pipeline, sinks → kube, containers, native, logging → api, core.
// A folder may import from the layers under its own, never from beside or above; core may read api's closed lists.
const layers = [
  ['apps/agent', 'apps/controller', 'apps/cli'],
  ['libs/attach', 'libs/pipeline', 'libs/sinks'],
  ['libs/kube', 'libs/containers', 'libs/native', 'libs/logging'],
  ['libs/core'],
  ['libs/api'],
];

const rules = layers.flatMap((layer, level) =>
  layer.map(folder => ({
    name: `${folder.replace('/', '-')}-imports-downwards`,
    severity: 'error',
    comment: `${folder} may import only from the layers under it`,
    from: {path: `^${folder}/`},
    to: {
      path: layers
        .slice(0, level + 1)
        .flat()
        .filter(other => other !== folder)
        .map(other => `^${other}/`)
        .join('|'),
    },
  })),
);

/** Only `folder` may import the package: everyone else goes through its port. */
const only = (folder, packages) => ({
  name: `only-${folder.replaceAll('/', '-')}-imports-${packages[0].replace(/[^a-z]/g, '-')}`,
  severity: 'error',
  from: {path: '^(apps|libs)/', pathNot: `^${folder}/`},
  to: {path: packages.map(name => `node_modules/${name}/`).join('|')},
});

module.exports = {
  forbidden: [
    ...rules.filter(rule => rule.to.path !== ''),
    {name: 'no-cycles', severity: 'error', from: {}, to: {circular: true}},
    {name: 'no-unresolved', severity: 'error', from: {}, to: {couldNotResolve: true}},
    {
      name: 'product-does-not-import-tests',
      severity: 'error',
      from: {path: '^(apps|libs)/', pathNot: '\\.spec\\.ts$'},
      to: {path: '^test/|\\.spec\\.ts$'},
    },
    {
      name: 'cli-stays-light',
      severity: 'error',
      comment: 'the command starts in 150 ms: no Nest, no addon in it',
      from: {path: '^apps/cli/'},
      to: {path: 'node_modules/@nestjs/|^libs/native/|^libs/sinks/|^libs/logging/', dependencyTypesNot: ['type-only']},
    },
    only('libs/kube', ['@kubernetes/client-node']),
    only('libs/logging', ['pino']),
    only('libs/containers/src/docker', ['dockerode']),
  ],
  options: {
    doNotFollow: {path: 'node_modules'},
    exclude: {path: '(^|/)(dist|build|target|generated)/'},
    tsPreCompilationDeps: true,
    tsConfig: {fileName: 'tsconfig.json'},
    enhancedResolveOptions: {
      exportsFields: ['exports'],

      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      conditionNames: ['import', 'require', 'node', 'default'],
    },
  },
};
