import {unionCapture} from './capture-union';

describe('unionCapture', () => {
  it('captures what any owner asks for', () => {
    expect(unionCapture([{fs: {}}, {http: {headers: ['x-id']}}, {console: {mode: 'Lines'}}])).toEqual({
      fs: {},
      http: {headers: ['x-id']},
      console: {mode: 'Lines'},
    });
  });

  it('no include list is the widest; only what both exclude stays out', () => {
    expect(unionCapture([{fs: {include: ['/a/*']}}, {fs: {}}]).fs).toEqual({});
    expect(unionCapture([{fs: {exclude: ['/a', '/b']}}, {fs: {exclude: ['/b', '/c']}}]).fs).toEqual({exclude: ['/b']});
  });

  it('what one owner wants hidden stays hidden', () => {
    const http = unionCapture([{http: {headers: ['cookie']}}, {http: {redact: ['cookie']}}]).http;
    expect(http).toEqual({headers: ['cookie'], redact: ['cookie']});
  });

  it('a console that is off asks for nothing', () => {
    expect(unionCapture([{console: {mode: 'Disabled'}}])).toEqual({});
  });
});
