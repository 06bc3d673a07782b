import {withConditions} from './conditions';

const ready = {type: 'Ready', status: 'True', reason: 'Scoped', message: 'all is well'} as const;

describe('withConditions', () => {
  it('moves lastTransitionTime only when the status changes', () => {
    const first = withConditions(undefined, [ready], 1, 1_000);
    expect(first[0]).toMatchObject({lastTransitionTime: '1970-01-01T00:00:01Z', observedGeneration: 1});
    const second = withConditions(first, [{...ready, reason: 'Other'}], 2, 9_000);
    expect(second[0]).toMatchObject({
      lastTransitionTime: '1970-01-01T00:00:01Z',
      reason: 'Other',
      observedGeneration: 2,
    });
    const third = withConditions(second, [{...ready, status: 'False'}], 2, 9_000);
    expect(third[0]).toMatchObject({lastTransitionTime: '1970-01-01T00:00:09Z', status: 'False'});
  });

  it('leaves the conditions of others as they are', () => {
    const others = withConditions(undefined, [{...ready, type: 'Detached'}], 1, 1_000);
    expect(withConditions(others, [ready], 5, 5_000)).toEqual([...others, expect.objectContaining({type: 'Ready'})]);
  });
});
