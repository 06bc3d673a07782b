import type {EventFilterSpec} from '@scope/pipeline';
import {eventFilter} from '@scope/pipeline';
import {ScopeError} from '@scope/core';
import type {FlowTable, StreamSink} from '@scope/sinks';
import type {Router} from './router';
import {STREAMED} from './router';

/**
 * GET /v1/events?follow&last=N&session=ID&event=GLOB&process=PID|GLOB&attribute=KEY=GLOB (each of the last four any
 * number of times): NDJSON. GET /v1/flows.
 */
export function addEventRoutes(router: Router, stream: StreamSink, flows: FlowTable): void {
  router
    .on('GET', '/v1/events', ({query, response}) => {
      const last = Number(query.get('last') ?? 0);
      if (!Number.isInteger(last) || last < 0) {
        throw new ScopeError('InvalidArgument', `last is no whole number: ${query.get('last') ?? ''}`);
      }
      response.setHeader('content-type', 'application/x-ndjson');
      stream.subscribe({writer: response, filter: eventFilter(filterSpec(query)), last, follow: query.has('follow')});
      if (!response.headersSent) response.flushHeaders();
      return STREAMED;
    })
    .on('GET', '/v1/flows', () => ({flows: flows.list()}));
}

function filterSpec(query: URLSearchParams): EventFilterSpec {
  const all = (name: string): string[] | undefined => (query.has(name) ? query.getAll(name) : undefined);
  const [sessions, events, processes] = [all('session'), all('event'), all('process')];
  const attributes = query.getAll('attribute').map((pair): [string, string] => {
    const at = pair.indexOf('=');
    if (at < 1) throw new ScopeError('InvalidArgument', `An attribute filter is KEY=GLOB, not: ${pair}`);
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  return {
    ...(sessions && {sessions}),
    ...(events && {events}),
    ...(processes && {processes}),
    ...(attributes.length > 0 && {attributes: Object.fromEntries(attributes)}),
  };
}
