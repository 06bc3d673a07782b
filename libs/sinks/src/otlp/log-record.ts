import type {ProcessIdentity, ScopeEvent} from '@scope/api';
import {SeverityNumber} from '@opentelemetry/api-logs';
import type {OTLPLogExporter} from '@opentelemetry/exporter-logs-otlp-proto';
import {
  ATTR_CONTAINER_ID,
  ATTR_K8S_CONTAINER_NAME,
  ATTR_K8S_NAMESPACE_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
  ATTR_K8S_POD_UID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
} from '@opentelemetry/semantic-conventions';
import {
  ATTR_CONTAINER_NAME,
  ATTR_PROCESS_EXECUTABLE_NAME,
  ATTR_PROCESS_EXECUTABLE_PATH,
  ATTR_PROCESS_PID,
} from '@opentelemetry/semantic-conventions/incubating';

/** What the exporter takes. */
export type LogRecord = Parameters<OTLPLogExporter['export']>[0][number];
export type LogResource = LogRecord['resource'];

export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.45.0';

/** By the log data model: INFO and ERROR. */
const SEVERITY = {
  info: {severityNumber: SeverityNumber.INFO, severityText: 'INFO'},
  error: {severityNumber: SeverityNumber.ERROR, severityText: 'ERROR'},
};

/**
 * Who the events are about, once per session: the exporter groups records by this object's identity. service.name:
 * what the finder said, else workload, pod, container, program, in the order of the Kubernetes attribute convention.
 */
export function resourceOf(process: ProcessIdentity, version: string): LogResource {
  const inPod = process.pod !== undefined;
  const attributes = {
    [ATTR_SERVICE_NAME]: process.service ?? process.workload ?? process.pod ?? process.container ?? process.name,
    [ATTR_SERVICE_NAMESPACE]: process.namespace,
    [ATTR_K8S_NAMESPACE_NAME]: process.namespace,
    [ATTR_K8S_POD_NAME]: process.pod,
    [ATTR_K8S_POD_UID]: process.podUid,
    [ATTR_K8S_NODE_NAME]: process.node,
    [ATTR_K8S_CONTAINER_NAME]: inPod ? process.container : undefined,
    ...(process.workload !== undefined &&
      process.workloadKind !== undefined && {[`k8s.${process.workloadKind}.name`]: process.workload}),
    [ATTR_CONTAINER_NAME]: inPod ? undefined : process.container,
    [ATTR_CONTAINER_ID]: process.containerId,
    [ATTR_PROCESS_PID]: process.pid,
    [ATTR_PROCESS_EXECUTABLE_NAME]: process.name,
    [ATTR_PROCESS_EXECUTABLE_PATH]: process.executable,
    'telemetry.distro.name': 'scopeattach',
    'telemetry.distro.version': version,
  };
  const known = Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
  const resource: LogResource = {
    attributes: known,
    schemaUrl: SCHEMA_URL,
    merge: other => other ?? resource,
    getRawAttributes: () => Object.entries(known),
  };
  return resource;
}

/** One event as a log record: its name is `eventName`, its attributes stay as they are. */
export function logRecordOf(
  event: ScopeEvent,
  resource: LogResource,
  scope: LogRecord['instrumentationScope'],
  observed: LogRecord['hrTimeObserved'],
): LogRecord {
  const lost = Object.entries(event.lost ?? {}).map(([key, count]) => [`scope.lost.${key}`, count]);
  const attributes = {...event.attributes, ...Object.fromEntries(lost)} as LogRecord['attributes'];
  const failed = event.event.endsWith('.error') || event.attributes['error.type'] !== undefined;
  return {
    hrTime: hrTimeOf(event.time),
    hrTimeObserved: observed,
    eventName: event.event,
    ...(failed ? SEVERITY.error : SEVERITY.info),
    resource,
    instrumentationScope: scope,
    attributes,
    droppedAttributesCount: 0,
  };
}

/** RFC 3339 with up to nine digits of fraction, as seconds and nanoseconds. */
export function hrTimeOf(time: string): [number, number] {
  const dot = time.indexOf('.');
  const seconds = Date.parse(dot < 0 ? time : `${time.slice(0, dot)}Z`) / 1000;
  const nanos =
    dot < 0
      ? 0
      : Number(
          time
            .slice(dot + 1)
            .replace('Z', '')
            .padEnd(9, '0')
            .slice(0, 9),
        );
  return [seconds, nanos];
}
