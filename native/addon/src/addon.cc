// What scope.node exports. Raise SCOPE_ADDON_INTERFACE together with ADDON_INTERFACE in libs/native/src/addon.port.ts.
#include <napi.h>

#include "hub.h"

namespace {

constexpr int SCOPE_ADDON_INTERFACE = 2;

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("interface", Napi::Number::New(env, SCOPE_ADDON_INTERFACE));
  exports.Set("Hub", scope::Hub::Define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(scope, Init)
