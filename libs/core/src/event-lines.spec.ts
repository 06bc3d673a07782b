import fc from 'fast-check';
import {eventNameAt, forEachLine, hasBytesAt} from './event-lines';

const line = (event: string, rest = ''): string =>
  `{"time":"2026-01-02T03:04:05.123456789Z","event":"${event}","process":{"pid":1}${rest}}`;

function namesOf(text: string): string[] {
  const lines = Buffer.from(text);
  const names: string[] = [];
  forEachLine(lines, (start, end) => names.push(eventNameAt(lines, start, end)));
  return names;
}

describe('event lines', () => {
  it('finds names where the decoder puts them', () => {
    expect(namesOf(`${line('fs.open')}\n${line('http.exchange')}\n`)).toEqual(['fs.open', 'http.exchange']);
  });

  it('finds names in lines that are laid out otherwise', () => {
    expect(namesOf('{"time":"2026-01-02T03:04:05Z","event":"net.open"}\n')).toEqual(['net.open']);
    expect(namesOf('{"event":"net.open","time":"2026-01-02T03:04:05.123456789Z"}\n')).toEqual(['net.open']);
  });

  it('does not take the next line’s name for a line without one', () => {
    expect(namesOf(`{"x":1}\n${line('fs.open')}\n`)).toEqual(['', 'fs.open']);
  });

  it('sees exactly the lines that are there', () => {
    fc.assert(
      fc.property(fc.array(fc.string({minLength: 1}).map(text => JSON.stringify(text))), texts => {
        const found: string[] = [];
        const lines = Buffer.from(texts.map(text => `${text}\n`).join(''));
        forEachLine(lines, (start, end) => found.push(lines.toString('utf8', start, end)));
        expect(found).toEqual(texts);
      }),
    );
  });
});

it('bytes are found where they stand, and not past the end', () => {
  const lines = Buffer.from('net.open');
  expect(hasBytesAt(lines, 0, Buffer.from('net.'))).toBe(true);
  expect(hasBytesAt(lines, 1, Buffer.from('net.'))).toBe(false);
  expect(hasBytesAt(lines, 4, Buffer.from('open,'))).toBe(false);
});
