import fc from 'fast-check';
import {BoundedQueue} from './bounded-queue';

describe('BoundedQueue', () => {
  it('gives back in order what it took', () => {
    const queue = new BoundedQueue<number>(1000);
    for (let item = 0; item < 500; item += 1) queue.push(item);
    const out = Array.from({length: 500}, () => queue.shift());
    expect(out).toEqual(Array.from({length: 500}, (_, item) => item));
    expect(queue.shift()).toBeUndefined();
  });

  it('refuses what is over, and counts it as the caller says', () => {
    const queue = new BoundedQueue<string>(10);
    expect(queue.push('a', 8)).toBe(true);
    expect(queue.push('b', 3, 42)).toBe(false);
    expect(queue.push('c', 2)).toBe(true);
    expect(queue.stats()).toEqual({depth: 10, capacity: 10, dropped: 42});
  });

  it('takes an oversized item when it is empty, so that nothing blocks for ever', () => {
    const queue = new BoundedQueue<string>(10);
    expect(queue.push('huge', 50)).toBe(true);
    expect(queue.push('small', 1)).toBe(false);
    queue.shift();
    expect(queue.push('small', 1)).toBe(true);
  });

  it('never holds more than its capacity, and loses nothing uncounted', () => {
    const action = fc.oneof(fc.integer({min: 1, max: 10}), fc.constant('shift' as const));
    fc.assert(
      fc.property(fc.array(action), actions => {
        const queue = new BoundedQueue<number>(10);
        let [pushed, shifted] = [0, 0];
        for (const weight of actions) {
          if (weight === 'shift') shifted += queue.shift() === undefined ? 0 : 1;
          else {
            queue.push(weight, weight);
            pushed += 1;
          }
          expect(queue.stats().depth).toBeLessThanOrEqual(10);
        }
        expect(queue.length + shifted + queue.stats().dropped).toBe(pushed);
      }),
    );
  });
});
