#include "hub.h"

#include <new>
#include <string>

namespace scope {

namespace {

// Throws a TypeError for anything but a whole number that a double holds exactly.
uint64_t SessionOf(const Napi::CallbackInfo& info) {
  constexpr double kMaxSafe = 9007199254740991.0;
  if (info.Length() < 1 || !info[0].IsNumber()) throw Napi::TypeError::New(info.Env(), "session: a number is needed");
  const double value = info[0].As<Napi::Number>().DoubleValue();
  if (!(value >= 0 && value <= kMaxSafe) || value != static_cast<double>(static_cast<uint64_t>(value))) {
    throw Napi::RangeError::New(info.Env(), "session: a whole number is needed");
  }
  return static_cast<uint64_t>(value);
}

Napi::Value NumberOf(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

// A string of the decoder's, freed on every path.
class DecoderString {
 public:
  explicit DecoderString(char* text) : text_(text) {}
  ~DecoderString() {
    if (text_ != nullptr) scope_string_free(text_);
  }
  DecoderString(const DecoderString&) = delete;
  DecoderString& operator=(const DecoderString&) = delete;

  bool IsNull() const { return text_ == nullptr; }
  Napi::Value ToJs(Napi::Env env) const { return Napi::String::New(env, text_); }

 private:
  char* text_;
};

}  // namespace

Napi::Function Hub::Define(Napi::Env env) {
  return DefineClass(env, "Hub",
                     {
                         InstanceMethod<&Hub::Open>("open"),
                         InstanceMethod<&Hub::Ack>("ack"),
                         InstanceMethod<&Hub::Free>("free"),
                         InstanceMethod<&Hub::Flush>("flush"),
                         InstanceMethod<&Hub::Stats>("stats"),
                         InstanceMethod<&Hub::Close>("close"),
                         InstanceMethod<&Hub::Queued>("queued"),
                     });
}

Hub::Hub(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Hub>(info), env_(info.Env()) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsFunction()) throw Napi::TypeError::New(env, "callback: a function is needed");
  queue_ = Queue::New(env, info[0].As<Napi::Function>(), "scope-decoder", 0, 1, this);
  queue_.Unref(env);
  hub_ = scope_hub_new(OnBatch, this, kMaxInFlight);
  if (hub_ == nullptr) {
    queue_.Release();
    throw Napi::Error::New(env, "the decoder's thread could not be started");
  }
  // Hooks run last in, first out: ours before the queue's own, so the decoder's thread is gone when the queue closes.
  napi_add_env_cleanup_hook(env, OnEnvironmentEnd, this);
}

Hub::~Hub() {
  if (hub_ == nullptr) return;
  napi_remove_env_cleanup_hook(env_, OnEnvironmentEnd, this);
  Shutdown();
}

void Hub::OnEnvironmentEnd(void* hub) { static_cast<Hub*>(hub)->Shutdown(); }

void Hub::Shutdown() {
  if (hub_ == nullptr) return;
  scope_hub_free(hub_);
  hub_ = nullptr;
  queue_.Abort();
}

// On the decoder's thread: never waits, never throws. A batch that can't be queued (no memory, or JavaScript is
// ending) is dropped unacknowledged: the decoder then pauses instead of losing more.
void Hub::OnBatch(void* context, const scope_batch* told) {
  Hub* const hub = static_cast<Hub*>(context);
  std::unique_ptr<Batch> batch;
  try {
    batch = std::make_unique<Batch>(*told);
  } catch (const std::bad_alloc&) {
    return;
  }
  hub->queued_.fetch_add(1, std::memory_order_relaxed);
  if (hub->queue_.NonBlockingCall(batch.get()) == napi_ok) batch.release();
}

void Hub::Deliver(Napi::Env env, Napi::Function callback, Hub* hub, Batch* raw) {
  const std::unique_ptr<Batch> batch(raw);
  if (env == nullptr || callback.IsEmpty()) return;
  try {
    const Napi::HandleScope scope(env);
    callback.Call({NumberOf(env, batch->session), Napi::Number::New(env, batch->kind),
                   Napi::Buffer<uint8_t>::Copy(env, batch->bytes.get(), batch->length), NumberOf(env, batch->events),
                   Napi::String::New(env, batch->summary)});
  } catch (const Napi::Error& thrown) {
    napi_fatal_exception(env, thrown.Value());
  }
  if (batch->kind == SCOPE_BATCH_END) hub->SessionEnded(env);
}

void Hub::SessionOpened(Napi::Env env) {
  if (open_ == 0) {
    queue_.Ref(env);
    Ref();
  }
  open_ += 1;
}

void Hub::SessionEnded(Napi::Env env) {
  if (open_ == 0) return;
  open_ -= 1;
  if (open_ > 0) return;
  if (hub_ != nullptr) queue_.Unref(env);
  Unref();
}

Napi::Value Hub::Open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsString()) throw Napi::TypeError::New(env, "config: a string is needed");
  if (hub_ == nullptr) throw Napi::Error::New(env, "the decoder has ended");
  const std::string config = info[0].As<Napi::String>();
  char* error = nullptr;
  const uint64_t session = scope_hub_open(hub_, config.data(), config.size(), &error);
  const DecoderString refusal(error);
  if (session != 0) {
    SessionOpened(env);
    return NumberOf(env, session);
  }
  return refusal.IsNull() ? Napi::String::New(env, "{}") : refusal.ToJs(env);
}

Napi::Value Hub::Ack(const Napi::CallbackInfo& info) {
  const uint64_t session = SessionOf(info);
  if (hub_ != nullptr) scope_hub_ack(hub_, session);
  return info.Env().Undefined();
}

Napi::Value Hub::Free(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsBuffer()) throw Napi::TypeError::New(env, "bytes: a batch's buffer is needed");
  const Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  Napi::ArrayBuffer memory = bytes.ArrayBuffer();
  if (memory.IsDetached()) return env.Undefined();
  // A part of a larger one shares its memory with others.
  if (bytes.ByteLength() != memory.ByteLength()) throw Napi::TypeError::New(env, "bytes: it is no batch's");
  memory.Detach();
  return env.Undefined();
}

Napi::Value Hub::Flush(const Napi::CallbackInfo& info) {
  const uint64_t session = SessionOf(info);
  return NumberOf(info.Env(), hub_ == nullptr ? 0 : scope_hub_flush(hub_, session));
}

Napi::Value Hub::Stats(const Napi::CallbackInfo& info) {
  const uint64_t session = SessionOf(info);
  const DecoderString stats(hub_ == nullptr ? nullptr : scope_hub_stats(hub_, session));
  return stats.IsNull() ? info.Env().Undefined() : stats.ToJs(info.Env());
}

Napi::Value Hub::Close(const Napi::CallbackInfo& info) {
  const uint64_t session = SessionOf(info);
  return Napi::Boolean::New(info.Env(), hub_ != nullptr && scope_hub_close(hub_, session) != 0);
}

Napi::Value Hub::Queued(const Napi::CallbackInfo& info) {
  return NumberOf(info.Env(), queued_.load(std::memory_order_relaxed));
}

}  // namespace scope
