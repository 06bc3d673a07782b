import {ScopeError} from '@scope/core';
import type {LogExporter} from './otlp-logs.sink';

/**
 * The exporter for http/protobuf. `endpoint` is a collector's base ("http://collector:4318"); /v1/logs is appended
 * unless a path is given. Headers, compression, timeout and certificates come from OTEL_EXPORTER_OTLP_* as everywhere.
 * Loaded only where it is asked for. Throws InvalidArgument when `endpoint` is no URL.
 */
export async function createOtlpExporter(endpoint: string): Promise<LogExporter> {
  const url = logsUrl(endpoint);
  const {OTLPLogExporter} = await import('@opentelemetry/exporter-logs-otlp-proto');
  return new OTLPLogExporter({url, concurrencyLimit: 2});
}

export function logsUrl(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new ScopeError('InvalidArgument', `The OTLP endpoint is no http(s) URL: ${endpoint}`, {
      advice: 'Give it as http://HOST:4318.',
    });
  }
  if (url.pathname === '/') url.pathname = '/v1/logs';
  return url.href;
}
