import type {CaptureOptions, FsCapture, HttpCapture} from '@scope/api';

const merge = (a: readonly string[] = [], b: readonly string[] = []): string[] => [...new Set([...a, ...b])].sort();

/** Wider of two: no include list means everything; only what both exclude stays out. */
function unionFs(a: FsCapture, b: FsCapture): FsCapture {
  const exclude = (a.exclude ?? []).filter(glob => b.exclude?.includes(glob));
  return {
    ...(a.include !== undefined && b.include !== undefined && {include: merge(a.include, b.include)}),
    ...(exclude.length > 0 && {exclude}),
    ...((a.timing === true || b.timing === true) && {timing: true}),
  };
}

/** All headers that either asks for; what either wants hidden stays hidden. */
function unionHttp(a: HttpCapture, b: HttpCapture): HttpCapture {
  const headers = merge(a.headers, b.headers);
  const redact = merge(a.redact, b.redact);
  return {...(headers.length > 0 && {headers}), ...(redact.length > 0 && {redact})};
}

function either<T>(a: T | undefined, b: T | undefined, both: (a: T, b: T) => T): T | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : both(a, b);
}

/** What one attachment must capture to serve all of its owners. */
export function unionCapture(captures: readonly CaptureOptions[]): CaptureOptions {
  return captures.reduce((a, b) => {
    const fs = either(a.fs, b.fs, unionFs);
    const http = either(a.http, b.http, unionHttp);
    const net = a.net ?? b.net;
    const dns = a.dns ?? b.dns;
    const lines = a.console?.mode === 'Lines' || b.console?.mode === 'Lines';
    return {
      ...(fs && {fs}),
      ...(net && {net}),
      ...(dns && {dns}),
      ...(http && {http}),
      ...(lines && {console: {mode: 'Lines' as const}}),
    };
  }, {});
}
