export {loadNative} from './load-native';
export {FakeNativeHub, FakeNativeSession} from './native-hub.fake';
export type {
  NativeBatch,
  NativeConfig,
  NativeEnd,
  NativeEndReason,
  NativeHub,
  NativeLosses,
  NativeSession,
  NativeStats,
} from './native-hub.port';
