// Published load generators; each fails where a single request did.
import {fileName} from '../support/content';
import {run, succeed} from '../support/program';

/** What is asked for: a file of a segment's size. */
const FILE = fileName(1_500);

export interface Answered {
  readonly requests: number;
  readonly perSecond: number;
}

const urlOn = (port: number): string => `http://127.0.0.1:${port}/${FILE}`;

/** GET of the file over kept connections, as many as can be. */
export async function wrk(port: number, seconds: number): Promise<Answered> {
  const text = await succeed('wrk', ['-t', '1', '-c', '32', '-d', `${seconds}s`, urlOn(port)]);
  if (/Socket errors|Non-2xx/.test(text)) throw new Error(`wrk: ${text}`);
  const requests = Number(/(\d+) requests in /.exec(text)?.[1]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  if (!(requests > 0 && perSecond > 0)) throw new Error(`wrk said no rate: ${text}`);
  return {requests, perSecond};
}

/** GET and SET of 64 bytes; the rate is the mean of the two. */
export async function redisBenchmark(port: number, seconds: number): Promise<Answered> {
  const each = seconds * 25_000;
  const args = ['-p', String(port), '-t', 'get,set', '-n', String(each), '-c', '50', '-d', '64', '--csv'];
  const {stdout} = await run('redis-benchmark', args);
  const rates = [...stdout.matchAll(/^"(?:GET|SET)","([\d.]+)"/gm)].map(match => Number(match[1]));
  if (rates.length !== 2) throw new Error(`redis-benchmark: ${stdout}`);
  return {requests: rates.length * each, perSecond: rates.reduce((a, b) => a + b, 0) / rates.length};
}

/** So many requests over kept connections. */
export async function ab(port: number, requests: number): Promise<void> {
  const text = await succeed('ab', ['-q', '-k', '-n', String(requests), '-c', '16', urlOn(port)]);
  if (!/Failed requests:\s+0\b/.test(text)) throw new Error(`ab: ${text}`);
}
