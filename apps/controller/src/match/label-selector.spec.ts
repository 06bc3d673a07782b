import {matchesSelector} from './label-selector';

const labels = {app: 'shop', tier: 'web'};

describe('matchesSelector', () => {
  it.each([
    ['an empty selector', {}, true],
    ['all labels', {matchLabels: {app: 'shop', tier: 'web'}}, true],
    ['a label with another value', {matchLabels: {app: 'bank'}}, false],
    ['a label that is missing', {matchLabels: {zone: 'a'}}, false],
    ['In', {matchExpressions: [{key: 'app', operator: 'In' as const, values: ['bank', 'shop']}]}, true],
    ['In, missing', {matchExpressions: [{key: 'zone', operator: 'In' as const, values: ['a']}]}, false],
    ['NotIn', {matchExpressions: [{key: 'app', operator: 'NotIn' as const, values: ['shop']}]}, false],
    ['NotIn, missing', {matchExpressions: [{key: 'zone', operator: 'NotIn' as const, values: ['a']}]}, true],
    ['Exists', {matchExpressions: [{key: 'app', operator: 'Exists' as const}]}, true],
    ['DoesNotExist', {matchExpressions: [{key: 'app', operator: 'DoesNotExist' as const}]}, false],
    [
      'both parts must hold',
      {matchLabels: {app: 'shop'}, matchExpressions: [{key: 'tier', operator: 'DoesNotExist' as const}]},
      false,
    ],
  ])('%s', (_what, selector, expected) => {
    expect(matchesSelector(selector, labels)).toBe(expected);
  });
});
