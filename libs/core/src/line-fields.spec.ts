import fc from 'fast-check';
import {LineFields, fieldMark} from './line-fields';

const [duration, method] = ['scope.http.duration', 'm'].map(fieldMark) as [string, string];
const line = JSON.stringify({
  'url.path': '/"scope.http.duration":9',
  'scope.http.duration': 0.0125,
  m: 'GET',
  odd: 'a"b',
});

describe('fields of a line', () => {
  it('can not be fooled by what a value holds', () => {
    expect(new LineFields(line).number(duration)).toBe(0.0125);
  });

  it('are found in any order, and again', () => {
    const fields = new LineFields(line);
    expect([fields.text(method), fields.number(duration), fields.text(method)]).toEqual(['GET', 0.0125, 'GET']);
  });

  it('are undefined where there is none, or none of that type', () => {
    const fields = new LineFields(line);
    expect(fields.text(fieldMark('nothing'))).toBeUndefined();
    expect(fields.number(method)).toBeUndefined();
    expect(fields.text(duration)).toBeUndefined();
    expect(new LineFields('{"m":"GE').text(method)).toBeUndefined();
  });

  it('are what a parser finds, whatever was asked before', () => {
    const value = fc.oneof(fc.stringMatching(/^[a-z]{0,9}$/), fc.integer());
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z.]{1,6}$/), value), fc.array(fc.nat(20)), (object, order) => {
        const keys = Object.keys(object);
        const fields = new LineFields(JSON.stringify(object));
        for (const turn of order) {
          const key = keys[turn];
          if (key === undefined) continue;
          const found = typeof object[key] === 'number' ? fields.number(fieldMark(key)) : fields.text(fieldMark(key));
          expect(found).toBe(object[key]);
        }
      }),
    );
  });
});
