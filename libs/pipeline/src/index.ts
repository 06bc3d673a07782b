export * from './event-bus';
export * from './event-filter';
export * from './rate-limiter';
export * from './session-pipeline';
