import {tryApply} from './support/kubectl';
import {clusterScopeAttach, scopeAttach} from './support/attaches';
import {whenCluster} from './support/when-cluster';

const pod = {podName: 'x'};

whenCluster('what the API server refuses, and how it says why', () => {
  it.each([
    ['no target', scopeAttach('bad', {target: {}}), /exactly one of `podName`, `workloadRef`, `selector` must be set/],
    [
      'two targets',
      scopeAttach('bad', {target: {...pod, selector: {matchLabels: {a: 'b'}}}}),
      /exactly one of `podName`, `workloadRef`, `selector` must be set/,
    ],
    ['a selector of everything', scopeAttach('bad', {target: {selector: {}}}), /an empty one would match every pod/],
    [
      'an operator without values',
      scopeAttach('bad', {target: {selector: {matchExpressions: [{key: 'a', operator: 'In'}]}}}),
      /`values` must be set for In and NotIn/,
    ],
    ['a field that does not exist', scopeAttach('bad', {target: {podNam: 'x'}}), /unknown field "spec.target.podNam"/],
    [
      'a word of no meaning',
      scopeAttach('bad', {target: pod, capture: {console: {mode: 'Everything'}}}),
      /supported values: "Disabled", "Lines"/,
    ],
    [
      'an expression that is none',
      scopeAttach('bad', {target: {...pod, processes: {commandLine: '(['}}}),
      /spec.target.processes.commandLine.*missing closing \]/,
    ],
    [
      'a part of the capture that is not there yet',
      scopeAttach('bad', {target: pod, capture: {tls: {mode: 'Plaintext'}}}),
      /unknown field "spec.capture.tls"/,
    ],
    [
      'too long a list',
      scopeAttach('bad', {target: pod, capture: {http: {headers: Array.from({length: 65}, (_, n) => `x-${n}`)}}}),
      /spec.capture.http.headers.*must have at most 64 items/,
    ],
    [
      'a deadline in the past',
      scopeAttach('bad', {target: pod, activeDeadlineSeconds: 0}),
      /activeDeadlineSeconds in body should be greater than or equal to 1/,
    ],
    [
      'a deadline before the beginning',
      scopeAttach('bad', {target: pod, activeDeadlineSeconds: -600}),
      /spec.activeDeadlineSeconds in body should be greater than or equal to 1/,
    ],
    ['a capture of nothing', scopeAttach('bad', {target: pod, capture: {}}), /should have at least 1 properties/],
    [
      'a kind that has no pods',
      scopeAttach('bad', {target: {workloadRef: {kind: 'Service', name: 'x'}}}),
      /Unsupported value: "Service"/,
    ],
    ['a name too long for a label', scopeAttach('x'.repeat(64), {target: pod}), /must be no more than 63 characters/],
    [
      'a cluster-wide wish without namespaces',
      clusterScopeAttach('bad', {target: {selector: {matchLabels: {a: 'b'}}}}),
      /spec.target.namespaceSelector: Required value/,
    ],
    [
      'a cluster-wide wish for every pod',
      clusterScopeAttach('bad', {target: {namespaceSelector: {}, selector: {}}}),
      /an empty one would match every pod/,
    ],
  ])('%s', async (_what, manifest, message) => {
    const answer = await tryApply(inDefault(manifest));
    expect(answer.code).not.toBe(0);
    expect(answer.stderr).toMatch(message);
  });
});

/** The namespaces of the other specs may not exist yet. */
function inDefault(manifest: object): object {
  const {metadata, ...rest} = manifest as {metadata: {namespace?: string}};
  return {...rest, metadata: {...metadata, ...(metadata.namespace !== undefined && {namespace: 'default'})}};
}
