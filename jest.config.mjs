// One project per kind of test. `unit` needs nothing but Node; the others need root and what scripts/ensure-packages installs.
import {existsSync} from 'node:fs';

/** Packages that ship ES modules only. */
const esmOnly = ['@kubernetes/client-node', 'openid-client', 'oauth4webapi', 'jose', 'jsonpath-plus', 'rfc4648'];

const shared = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  moduleFileExtensions: ['ts', 'mjs', 'cjs', 'js', 'json', 'node'],
  moduleNameMapper: {'^@scope/([a-z]+)$': '<rootDir>/libs/$1/src/index.ts'},
  transform: {
    '^.+\\.[cm]?[tj]s$': [
      '@swc/jest',
      {
        module: {type: 'commonjs'},
        jsc: {
          target: 'es2022',
          parser: {syntax: 'typescript', decorators: true},
          transform: {legacyDecorator: true, decoratorMetadata: true},
          keepClassNames: true,
        },
      },
    ],
  },
  transformIgnorePatterns: [`/node_modules/(?!(${esmOnly.join('|')})/)`],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/native/target/'],
};

/** Tests that start programs, attach to them, or build a cluster: one file at a time. */
const onMachine = (name, minutes) => ({
  ...shared,
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.spec.ts`],
  ...(existsSync(new URL(`test/${name}/setup.ts`, import.meta.url)) && {
    setupFilesAfterEnv: [`<rootDir>/test/${name}/setup.ts`],
  }),
  ...(existsSync(new URL(`test/${name}/global-setup.ts`, import.meta.url)) && {
    globalSetup: `<rootDir>/test/${name}/global-setup.ts`,
    globalTeardown: `<rootDir>/test/${name}/global-teardown.ts`,
  }),
  testTimeout: minutes * 60_000,
});

export default {
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/{apps,libs,scripts}/**/*.spec.ts',
        '<rootDir>/test/{bench,cluster,documents,suites,targets}/**/*.spec.ts',
      ],
    },
    onMachine('integration', 5),
    onMachine('extended', 5),
    onMachine('e2e', 10),
    onMachine('torture', 15),
  ],
};
