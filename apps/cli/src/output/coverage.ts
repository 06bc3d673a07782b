import * as z from 'zod/mini';
import {facts} from './facts';
import {table} from './table';

/** What `check` and `inspect` of the injector say, as far as it is told to people; the rest is for -o json. */
const surveySchema = z.object({
  scoped: z.optional(z.boolean()),
  hookedNow: z.optional(z.number()),
  target: z.object({
    kind: z.string(),
    libc: z.optional(z.nullable(z.string())),
    go: z.optional(z.nullable(z.string())),
    executable: z.optional(z.string()),
    threads: z.number(),
    ioUrings: z.optional(z.number()),
  }),
  sites: z.object({
    found: z.number(),
    hooked: z.number(),
    skipped: z.array(z.object({reason: z.string(), count: z.number()})),
  }),
  calls: z.object({
    hooked: z.array(z.string()),
    partial: z.array(
      z.object({call: z.string(), seen: z.optional(z.boolean()), why: z.union([z.string(), z.array(z.string())])}),
    ),
    missing: z.array(z.string()),
    memoryFollowed: z.optional(z.boolean()),
  }),
});

export type Survey = z.infer<typeof surveySchema>;

/** Undefined when it is laid out otherwise: of another version. */
export function parseSurvey(raw: unknown): Survey | undefined {
  const parsed = surveySchema.safeParse(raw);
  return parsed.success ? parsed.data : undefined;
}

/** What the caller knows besides. */
export interface SurveySubject {
  readonly pid: number;
  readonly name: string;
  /** Of the program's C library: "glibc 2.36 (/lib/x86_64-linux-gnu/libc.so.6)". */
  readonly libc?: string | undefined;
  /** "nginx-7-x by cli, since …" */
  readonly session?: string | undefined;
}

const SKIPPED: Readonly<Record<string, string>> = {
  NotInteresting: 'make other calls',
  NumberUnknown: 'make a call that could not be told',
  GoRuntime: 'are the Go runtime’s own',
  Overlap: 'are too close to another one',
  ChangedInMemory: 'were changed by somebody else',
};

const MISSING = 'no place that makes this call was found';

/** A short head, then one line per system call: hooked or not, and why not. Lines are cut at `width`. */
export function coverageText(survey: Survey, subject: SurveySubject, width = Infinity): string {
  return `${head(survey, subject, width)}\n\n${calls(survey, width)}`;
}

function head({target, sites, calls: {memoryFollowed}, ...now}: Survey, subject: SurveySubject, width: number): string {
  const left = sites.skipped
    .filter(({count}) => count > 0)
    .map(({reason, count}) => `${count} ${SKIPPED[reason] ?? reason}`);
  const holder = subject.session === undefined ? ', by no session of this agent' : ` as ${subject.session}`;
  return facts(
    [
      ['Process', `${subject.name} (${subject.pid})${target.executable === undefined ? '' : `, ${target.executable}`}`],
      ['State', now.scoped === true ? `scoped${holder}` : 'not scoped: this is what an attach would hook'],
      ['Kind', target.kind],
      ['C library', target.libc ?? subject.libc],
      ['Go', target.go ?? undefined],
      ['Threads', target.threads],
      ['Call sites', [`${sites.hooked} hooked of ${sites.found}`, ...left].join('; ')],
      ['Hooked now', now.hookedNow === undefined || now.hookedNow === sites.hooked ? undefined : now.hookedNow],
      ['io_uring', (target.ioUrings ?? 0) > 0 ? 'used: what goes through it is not seen' : undefined],
      [
        'Memory map',
        memoryFollowed === false ? 'not followed: data that a call points to may not be copied' : undefined,
      ],
    ],
    width,
  );
}

function calls({calls: {hooked, partial, missing}}: Survey, width: number): string {
  const rows: [string, string, string][] = [
    ...hooked.map((call): [string, string, string] => [call, 'yes', '']),
    ...missing.map((call): [string, string, string] => [call, 'no', MISSING]),
    ...partial.flatMap(({call, seen, why}) =>
      (typeof why === 'string' ? [why] : why).map((one): [string, string, string] => [
        call,
        seen === false ? 'no' : 'partly',
        one,
      ]),
    ),
  ].sort(([a], [b]) => a.localeCompare(b, 'en'));
  // Further reasons of one call stand below the first.
  const cells = rows.map((row, at) => (rows[at - 1]?.[0] === row[0] ? ['', '', row[2]] : row));
  return table(['CALL', 'HOOKED', 'WHY NOT'], cells, width);
}
