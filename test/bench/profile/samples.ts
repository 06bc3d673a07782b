// What perf-script(1) prints with -F comm,ip,sym,dso: one line a sample, the innermost function only.

export interface Sample {
  /** The kernel's name of the thread. */
  readonly thread: string;
  readonly symbol: string;
  /** The file that the code is of, as perf names it: a path, "[kernel.kallsyms]", "[vdso]", "/tmp/perf-PID.map"… */
  readonly file: string;
}

/** Lines that are no samples are left out. */
export function parseSamples(text: string): Sample[] {
  return text.split('\n').flatMap(line => {
    const match = /^\s*(\S.*?)\s+[0-9a-f]+ (.+) \(([^()]+(?: \(deleted\))?)\)$/.exec(line);
    if (match === null) return [];
    const [, thread = '', symbol = '', file = ''] = match;
    return [{thread, symbol: withoutHash(symbol), file}];
  });
}

/** Rust ends each name with a hash. */
const withoutHash = (symbol: string): string => symbol.replace(/::h[0-9a-f]{16}$/, '');

/** Where code belongs that runs in a scoped program or in the agent. */
export function partOf({file}: Sample): string {
  if (file.startsWith('[kernel') || file.startsWith('[guest.kernel') || file.endsWith('.ko')) return 'kernel';
  if (file.includes('memfd:scope-ring')) return 'hooks';
  if (file.endsWith('/scope.node')) return 'decoder (Rust)';
  if (/\/perf-\d+\.map$/.test(file)) return 'JavaScript';
  if (file.endsWith('/node')) return 'Node.js';
  if (/\/(?:libc|libstdc\+\+|libm|ld-linux[^/]*)\.so/.test(file) || file === '[vdso]') return 'C library';
  if (/\.so(\.|$)/.test(file)) return file.slice(file.lastIndexOf('/') + 1);
  return file.startsWith('/') ? 'the program' : 'elsewhere';
}

export interface Share {
  readonly name: string;
  /** Of all samples, 0 to 1. */
  readonly share: number;
}

/** Shares of the samples by `name`, the largest first; those below `least` are one share more, "the rest". */
export function shares(samples: readonly Sample[], name: (sample: Sample) => string, least = 0): Share[] {
  const counts = new Map<string, number>();
  for (const sample of samples) counts.set(name(sample), (counts.get(name(sample)) ?? 0) + 1);
  const all = [...counts].map(([of, count]) => ({name: of, share: count / samples.length}));
  const large = all.filter(({share}) => share >= least).sort((a, b) => b.share - a.share);
  const rest = 1 - large.reduce((total, {share}) => total + share, 0);
  return large.length < all.length ? [...large, {name: 'the rest', share: rest}] : large;
}
