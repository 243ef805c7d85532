// A copy on a thread of its own, as JavaScript asks for it.
#include "file-copy.h"

#include "database.h"
#include "operations.h"

namespace cairn {
namespace {

using Kind = FileCopyOutcome::Kind;
using Side = FileCopyOutcome::Side;

const char* NameOf(Kind kind) {
  switch (kind) {
    case Kind::kDone: return "done";
    case Kind::kSystem: return "system";
    case Kind::kShort: return "short";
    case Kind::kNotAFile: return "not-a-file";
    case Kind::kCancelled: return "cancelled";
  }
  return "";
}

const char* NameOf(Side side) { return side == Side::kSource ? "source" : "target"; }

// The control is referenced until the promise settles: the thread reads and writes its memory.
class FileCopyWorker : public Worker {
 public:
  explicit FileCopyWorker(const Napi::CallbackInfo& info)
      : Worker(nullptr), environment_(info.Env().GetInstanceData<AddonData>()->environment), env_(info.Env()) {
    order_.source = info[0].As<Napi::String>().Utf8Value();
    if (info[1].IsString()) order_.target = info[1].As<Napi::String>().Utf8Value();
    order_.size_bytes = info[2].As<Napi::Number>().Int64Value();
    order_.chunk_bytes = static_cast<size_t>(info[3].As<Napi::Number>().Int64Value());
    int64_t* slots = info[4].As<Napi::BigInt64Array>().Data();
    static_assert(sizeof(std::atomic<int64_t>) == sizeof(int64_t) && std::atomic<int64_t>::is_always_lock_free);
    control_.cancel = reinterpret_cast<std::atomic<int64_t>*>(slots);
    control_.copied = reinterpret_cast<std::atomic<int64_t>*>(slots + 1);
    control_.rest = reinterpret_cast<std::atomic<int64_t>*>(slots + 2);
    control_.stopping = &environment_->stopping;
    napi_create_reference(env_, info[4], 1, &slots_);
  }

 protected:
  rocksdb::Status Execute() override {
    outcome_ = CopyFile(order_, control_);
    return rocksdb::Status::OK();
  }

  void Finished() override { napi_delete_reference(env_, slots_); }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("kind", Napi::String::New(env, NameOf(outcome_.kind)));
    result.Set("side", outcome_.side == Side::kNone ? env.Null() : Napi::String::New(env, NameOf(outcome_.side)));
    result.Set("errno", Napi::Number::New(env, outcome_.error));
    result.Set("call", Napi::String::New(env, outcome_.call));
    result.Set("bytes", Napi::Number::New(env, static_cast<double>(outcome_.bytes)));
    result.Set("sha256", Napi::Buffer<char>::Copy(env, outcome_.sha256.data(), outcome_.sha256.size()));
    return result;
  }

 private:
  const std::shared_ptr<Environment> environment_;
  const napi_env env_;
  napi_ref slots_ = nullptr;
  FileCopyOrder order_;
  FileCopyControl control_{};
  FileCopyOutcome outcome_;
};

}  // namespace

// copyFile(source, target or null, sizeBytes below 0 for all, chunkBytes, control: BigInt64Array [cancel, bytes copied, rest]): what came of
// it, {kind, side, errno, call, bytes, sha256}; it does not reject for anything that a file system can do.
Napi::Value QueueFileCopy(const Napi::CallbackInfo& info) {
  return Worker::QueueInBackground(info.Env(), std::make_unique<FileCopyWorker>(info));
}

}  // namespace cairn
