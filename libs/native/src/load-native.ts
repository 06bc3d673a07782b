import {existsSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {ScopeError} from '@scope/core';
import type {Addon} from './addon.port';
import {ADDON_INTERFACE} from './addon.port';
import {DecoderHub} from './decoder-hub';
import type {NativeHub} from './native-hub.port';

/**
 * The decoder of this build: `path`, else SCOPE_NATIVE, else native/scope.node beside the bundle (run from source: the
 * checkout's dist/native/scope.node). Throws NotBuilt when there is no file, ABIMismatch when it is of another build.
 */
export function loadNative(path: string = defaultPath()): NativeHub {
  return new DecoderHub(loadAddon(path));
}

function defaultPath(): string {
  const named = process.env.SCOPE_NATIVE;
  if (named !== undefined && named !== '') return named;
  const dist = __filename.endsWith('.ts') ? join(dirname(__filename), '../../../dist') : dirname(__filename);
  return join(dist, 'native/scope.node');
}

function loadAddon(path: string): Addon {
  if (!existsSync(path)) {
    throw new ScopeError('NotBuilt', `The decoder is missing: there is no ${path}.`, {
      details: {path},
      advice: 'Run `npm run build:native` in the checkout, or name the file by SCOPE_NATIVE.',
    });
  }
  const loaded: {exports: unknown} = {exports: {}};
  try {
    process.dlopen(loaded, path);
  } catch (thrown) {
    throw mismatch(path, String(thrown), thrown);
  }
  return asAddon(loaded.exports, path);
}

/** What the file at `path` exports, once it is sure that it is ours; else throws ABIMismatch. */
export function asAddon(exports: unknown, path: string): Addon {
  if (!isAddon(exports)) throw mismatch(path, 'it does not export what a decoder exports');
  if (exports.interface !== ADDON_INTERFACE) {
    throw mismatch(path, `it speaks interface ${exports.interface}, this program ${ADDON_INTERFACE}`);
  }
  return exports;
}

function isAddon(exports: unknown): exports is Addon {
  if (typeof exports !== 'object' || exports === null) return false;
  const {interface: version, Hub} = exports as Record<string, unknown>;
  return typeof version === 'number' && typeof Hub === 'function';
}

function mismatch(path: string, why: string, cause?: unknown): ScopeError {
  return new ScopeError('ABIMismatch', `The decoder ${path} could not be loaded: ${why}.`, {
    ...(cause !== undefined && {cause}),
    details: {path},
    advice: 'Build it for this machine and version: `npm run build:native` in the checkout.',
  });
}
