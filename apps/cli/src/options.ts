import type {CaptureOptions} from '@scope/api';
import {DEFAULT_CAPTURE} from '@scope/api';
import {ScopeError} from '@scope/core';
import {didYouMean} from './target/nearest';

const UNITS: Readonly<Record<string, number>> = {d: 86_400, h: 3600, m: 60, s: 1};

/** "90", "90s", "10m", "1h30m" as seconds. Throws InvalidArgument. */
export function parseDuration(text: string): number {
  const bad = new ScopeError('InvalidArgument', `${text} is no duration.`, {advice: 'Write it as 90s, 10m or 1h30m.'});
  if (/^\d+$/.test(text)) return positive(Number(text), bad);
  if (!/^(\d+[dhms])+$/.test(text)) throw bad;
  const seconds = [...text.matchAll(/(\d+)([dhms])/g)].reduce(
    (sum, [, n, unit]) => sum + Number(n) * (UNITS[unit ?? ''] ?? 0),
    0,
  );
  return positive(seconds, bad);
}

function positive(seconds: number, bad: ScopeError): number {
  if (seconds < 1) throw bad;
  return seconds;
}

/** A whole number of at least `least`. Throws InvalidArgument. */
export function parseCount(least: number): (text: string) => number {
  return text => {
    const count = Number(text);
    if (/^\d+$/.test(text) && count >= least) return count;
    throw new ScopeError('InvalidArgument', `${text} is no whole number of at least ${least}.`);
  };
}

/** For options that may be given several times, or once with commas. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(',').filter(part => part !== '')];
}

const PARTS = ['fs', 'net', 'dns', 'http', 'console'] as const;

export interface CaptureFlags {
  readonly capture?: readonly string[];
  readonly header?: readonly string[];
  readonly redact?: readonly string[];
  readonly timing?: boolean;
}

/** What --capture, --header, --redact and --timing ask for. Throws InvalidArgument. */
export function parseCapture({capture, header, redact, timing}: CaptureFlags): CaptureOptions {
  const unknown = capture?.find(part => !(PARTS as readonly string[]).includes(part));
  if (unknown !== undefined) {
    throw new ScopeError(
      'InvalidArgument',
      `Nothing is called ${unknown} that could be captured.${didYouMean(unknown, PARTS)}`,
      {
        advice: `--capture takes ${PARTS.join(', ')}.`,
      },
    );
  }
  const wanted = new Set(capture ?? Object.keys(DEFAULT_CAPTURE));
  if (header !== undefined && !wanted.has('http')) {
    throw new ScopeError('InvalidArgument', '--header needs http among what is captured.');
  }
  if (timing === true && !wanted.has('fs')) {
    throw new ScopeError('InvalidArgument', '--timing needs fs among what is captured.');
  }
  return {
    ...(wanted.has('fs') && {fs: timing === true ? {timing} : {}}),
    ...(wanted.has('net') && {net: {}}),
    ...(wanted.has('dns') && {dns: {}}),
    ...(wanted.has('http') && {http: httpOptions(header, redact)}),
    ...(wanted.has('console') && {console: {mode: 'Lines' as const}}),
  };
}

function httpOptions(header: readonly string[] | undefined, redact: readonly string[] | undefined) {
  const lower = (names: readonly string[]): string[] => names.map(name => name.toLowerCase());
  return {...(header && {headers: lower(header)}), ...(redact && {redact: lower(redact)})};
}

export type OutputFormat = 'text' | 'json' | 'wide';

/** Of -o, which takes these. Throws InvalidArgument. */
export function parseOutput(...formats: readonly OutputFormat[]): (text: string) => OutputFormat {
  return text => {
    const found = formats.find(format => format === text);
    if (found !== undefined) return found;
    throw new ScopeError('InvalidArgument', `There is no output format ${text}.${didYouMean(text, formats)}`, {
      advice: `-o takes ${formats.slice(0, -1).join(', ')} or ${formats.at(-1) ?? ''} here.`,
    });
  };
}
