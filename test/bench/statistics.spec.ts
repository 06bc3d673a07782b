import {differences, median, ratios, spread} from './statistics';

describe('statistics', () => {
  it('median of an odd, an even and an empty list', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  it('spread is half of the distance between the quartiles, and does not see outliers', () => {
    expect(spread([1, 2, 3, 4, 5])).toBe(1);
    expect(spread([1, 2, 3, 4, 5_000])).toBe(1);
  });

  it('pairs element by element', () => {
    expect(differences([5, 7], [1, 2])).toEqual([4, 5]);
    expect(ratios([5, 7], [10, 14])).toEqual([0.5, 0.5]);
  });
});
