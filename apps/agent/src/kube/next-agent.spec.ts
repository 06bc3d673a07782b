import {comesAgain} from './next-agent';

const set = (nodeSelector?: Record<string, string>, metadata: object = {}) => ({
  metadata: {name: 'scope-agent', ...metadata},
  spec: {template: {spec: nodeSelector === undefined ? {} : {nodeSelector}}},
});
const node = {metadata: {name: 'one', labels: {'kubernetes.io/os': 'linux'}}};

describe('the next agent of a node', () => {
  it('comes where its set is there and means the node', () => {
    expect(comesAgain(set(), node)).toBe(true);
    expect(comesAgain(set({'kubernetes.io/os': 'linux'}), node)).toBe(true);
  });

  it.each([
    ['its set is gone', undefined, node],
    ['its set is being deleted', set({}, {deletionTimestamp: '2026-01-02T03:04:05Z'}), node],
    ['its set means other nodes now', set({pool: 'other'}), node],
    ['nobody knows the node', set(), undefined],
  ])('does not come where %s', (_, agents, where) => {
    expect(comesAgain(agents, where)).toBe(false);
  });
});
