// The decoder's hub as a JavaScript class. See libs/native/src/addon.port.ts for its contract.
#ifndef SCOPE_ADDON_HUB_H
#define SCOPE_ADDON_HUB_H
#include <napi.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "scope_decoder.h"

namespace scope {

// One batch on its way from the decoder's thread to JavaScript: its own copy of the bytes.
struct Batch {
  // Throws std::bad_alloc.
  explicit Batch(const scope_batch& told)
      : session(told.session),
        kind(told.kind),
        events(told.events),
        length(told.length),
        bytes(new uint8_t[length == 0 ? 1 : length]),
        summary(reinterpret_cast<const char*>(told.summary), told.summary_length) {
    if (length > 0) std::memcpy(bytes.get(), told.bytes, length);
  }

  uint64_t session;
  uint32_t kind;
  uint64_t events;
  size_t length;
  std::unique_ptr<uint8_t[]> bytes;
  std::string summary;
};

// Two threads meet here. The decoder's own calls OnBatch, which touches only `queue_` and `queued_`; everything else
// runs on JavaScript's. The queue has no limit of its own: kMaxInFlight unacknowledged batches stop the decoder.
//
// The end, on every path: scope_hub_free (no OnBatch after it), then the queue is aborted: what still waits in it comes
// to Deliver with no environment and is freed there, without a look at the hub.
class Hub : public Napi::ObjectWrap<Hub> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit Hub(const Napi::CallbackInfo& info);
  ~Hub() override;
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

 private:
  static void OnBatch(void* context, const scope_batch* told);
  static void Deliver(Napi::Env env, Napi::Function callback, Hub* hub, Batch* batch);
  using Queue = Napi::TypedThreadSafeFunction<Hub, Batch, Deliver>;

  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Ack(const Napi::CallbackInfo& info);
  Napi::Value Free(const Napi::CallbackInfo& info);
  Napi::Value Flush(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Queued(const Napi::CallbackInfo& info);

  static void OnEnvironmentEnd(void* hub);
  // Ends the decoder's thread, then lets go of the queue. Harmless when done already.
  void Shutdown();
  void SessionOpened(Napi::Env env);
  void SessionEnded(Napi::Env env);

  static constexpr uint32_t kMaxInFlight = 64;

  scope_hub* hub_ = nullptr;
  Queue queue_;
  std::atomic<uint64_t> queued_{0};
  // Sessions whose END has not come: while there is one, the queue keeps the event loop alive, and the hub itself.
  size_t open_ = 0;
  napi_env env_;
};

}  // namespace scope
#endif
