import {cLibraryIn, cLibraryOf, glibcVersion} from './c-library';

const map = (path: string): string =>
  `55e0c0000000-55e0c0001000 r--p 00000000 fe:00 131 /usr/bin/server\n7f2c00000000-7f2c00100000 r-xp 00028000 fe:00 132 ${path}\n`;

it.each([
  ['/usr/lib/x86_64-linux-gnu/libc.so.6'],
  ['/lib/x86_64-linux-gnu/libc-2.31.so'],
  ['/lib/ld-musl-x86_64.so.1'],
])('%s is one', path => {
  expect(cLibraryIn(map(path))).toBe(path);
});

it.each(['/usr/lib/libcap.so.2', '/usr/lib/libcrypto.so.3', '/memfd:libc.so.6 (deleted)', ''])('%p is none', path => {
  expect(cLibraryIn(map(path))).toBeUndefined();
});

it('says its version in its banner', () => {
  const banner = 'GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\nCopyright';
  expect(glibcVersion(Buffer.from(`\0\u0001${banner}\0`))).toBe('2.36');
  expect(glibcVersion(Buffer.from('nothing'))).toBeUndefined();
});

it('is unknown where there is no process', () => {
  expect(cLibraryOf(7, '/nowhere')).toBeUndefined();
});
