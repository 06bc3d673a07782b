import {DEFAULT_CAPTURE} from '@scope/api';
import type {AttachRequest, SessionService} from '@scope/attach';
import {ScopeError} from '@scope/core';
import {z} from 'zod';
import type {Routes} from './router';

const globs = z.array(z.string().min(1).max(4096)).max(64);

const captureSchema = z.strictObject({
  fs: z.strictObject({include: globs.optional(), exclude: globs.optional(), timing: z.boolean().optional()}).optional(),
  net: z.strictObject({}).optional(),
  dns: z.strictObject({}).optional(),
  http: z.strictObject({headers: globs.optional(), redact: globs.optional()}).optional(),
  console: z.strictObject({mode: z.enum(['Disabled', 'Lines'])}).optional(),
});

const attachSchema = z.strictObject({
  pid: z.number(),
  startTime: z.string().optional(),
  capture: captureSchema.default(DEFAULT_CAPTURE as z.infer<typeof captureSchema>),
  owner: z.string().min(1).max(253).default('cli'),
  children: z.boolean().optional(),
  rateLimit: z.strictObject({eventsPerSecond: z.number().int().min(1)}).optional(),
  historyDirectory: z.string().startsWith('/').optional(),
  activeDeadlineSeconds: z.number().int().min(1).max(604_800).optional(),
});

/** POST, GET and DELETE /v1/sessions, and DELETE /v1/processes/PID for what no session holds. */
export function addSessionRoutes(router: Routes, sessions: SessionService): void {
  router
    .on('POST', '/v1/sessions', ({body}) => sessions.attach(parseAttach(body)), 201)
    .on('GET', '/v1/sessions', () => ({sessions: sessions.sessions()}))
    .on('GET', '/v1/sessions/:id', ({params}) => {
      const id = params.id ?? '';
      const view = sessions.session(id);
      if (view === undefined) throw new ScopeError('NoSuchSession', `There is no session ${id}.`);
      return view;
    })
    .on('DELETE', '/v1/sessions/:id', ({params, query}) =>
      sessions.detach(params.id ?? '', query.get('owner') ?? undefined),
    )
    .on('DELETE', '/v1/processes/:pid', async ({params}) => {
      await sessions.mend(Number(params.pid));
    });
}

function parseAttach(body: unknown): AttachRequest {
  const parsed = attachSchema.safeParse(body);
  if (!parsed.success) {
    throw new ScopeError('InvalidArgument', `The request makes no sense:\n${z.prettifyError(parsed.error)}`);
  }
  // What is absent stays absent: zod's `T | undefined` and "may be missing" mean the same here.
  return parsed.data as AttachRequest;
}
