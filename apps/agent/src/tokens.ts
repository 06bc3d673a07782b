/** Nest's tokens for what has no class of its own. */
export const AGENT_OPTIONS = Symbol('AGENT_OPTIONS');
export const CLOCK = Symbol('CLOCK');
export const LOGGER = Symbol('LOGGER');
export const NATIVE_HUB = Symbol('NATIVE_HUB');
export const PROCESSES = Symbol('PROCESSES');
