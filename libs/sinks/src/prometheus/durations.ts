/** Advisory bounds of http.*.request.duration (OpenTelemetry semantic conventions 1.45), seconds. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Label sets kept; those past it are counted together as "other". */
const SERIES_KEPT = 500;
const OTHER = 'other';

interface Series {
  readonly labels: string;
  /** By bucket, each without the smaller ones; the last is past every bound. */
  readonly counts: number[];
  sum: number;
}

/**
 * Durations of HTTP requests as a histogram of the Prometheus text format. One observation is a look-up and two additions: it is
 * made for every exchange, and prom-client's own makes and hashes an object of labels each time.
 */
export class Durations {
  private readonly series = new Map<string, Series>();

  constructor(
    private readonly name: string,
    private readonly help: string,
  ) {}

  observe(service: string, method: string, status: number, seconds: readonly number[]): void {
    const series = this.seriesOf(service, method, String(status));
    for (const each of seconds) {
      let bucket = 0;
      while (bucket < BOUNDS.length && each > (BOUNDS[bucket] ?? 0)) bucket += 1;
      series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
      series.sum += each;
    }
  }

  /** Lines of the text format, each with its end. */
  text(): string {
    const head = [`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} histogram`];
    const body = [...this.series.values()].flatMap(series => this.linesOf(series));
    return [...head, ...body, ''].join('\n');
  }

  private seriesOf(service: string, method: string, status: string): Series {
    const key = `${status} ${method} ${service}`;
    const known = this.series.get(key);
    if (known !== undefined) return known;
    if (this.series.size >= SERIES_KEPT && status !== OTHER) return this.seriesOf(OTHER, OTHER, OTHER);
    const labels = [
      ['service_name', service],
      ['http_request_method', method],
      ['http_response_status_code', status],
    ];
    const fresh = {
      labels: labels.map(([name = '', value = '']) => `${name}="${escaped(value)}"`).join(','),
      counts: new Array<number>(BOUNDS.length + 1).fill(0),
      sum: 0,
    };
    this.series.set(key, fresh);
    return fresh;
  }

  private linesOf({labels, counts, sum}: Series): string[] {
    let below = 0;
    const buckets = counts.map((count, bucket) => {
      below += count;
      return `${this.name}_bucket{le="${BOUNDS[bucket] ?? '+Inf'}",${labels}} ${below}`;
    });
    return [...buckets, `${this.name}_sum{${labels}} ${sum}`, `${this.name}_count{${labels}} ${below}`];
  }
}

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
