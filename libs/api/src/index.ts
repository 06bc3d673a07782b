export * from './conditions';
export * from './events';
export * from './object-meta';
export * from './reasons';
export * from './resources';
