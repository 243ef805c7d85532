// Point reads in the pool.
#include <rocksdb/slice.h>

#include <vector>

#include "operations.h"

namespace cairn {
namespace {

constexpr uint32_t kMissing = 0xffffffff;
constexpr uint32_t kNotRead = 0xfffffffe;

void AppendLength(std::string* target, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) target->push_back(static_cast<char>(value >> shift));
}

class GetWorker : public Worker {
 public:
  GetWorker(const std::shared_ptr<Handle>& handle, rocksdb::Slice key, const rocksdb::Snapshot* snapshot)
      : Worker(handle), key_(key.ToString()) {
    options_.snapshot = snapshot;
  }

 protected:
  rocksdb::Status Execute() override {
    const rocksdb::Status status = db()->Get(options_, key_, &value_);
    found_ = status.ok();
    return status.IsNotFound() ? rocksdb::Status::OK() : status;
  }

  Napi::Value Result(Napi::Env env) override {
    return found_ ? ToBuffer(env, std::move(value_)) : env.Undefined();
  }

 private:
  std::string key_;
  rocksdb::ReadOptions options_;
  std::string value_;
  bool found_ = false;
};

// Answers one buffer: per key u32le length and the value, length 0xffffffff for a missing key. Once so many bytes of values were read
// the others are left out: 0xfffffffe.
class MultiGetWorker : public Worker {
 public:
  MultiGetWorker(const std::shared_ptr<Handle>& handle, const Napi::Array& keys, uint64_t enough_bytes)
      : Worker(handle) {
    options_.value_size_soft_limit = enough_bytes;
    keys_.reserve(keys.Length());
    for (uint32_t i = 0; i < keys.Length(); i++) keys_.push_back(BytesOf(keys.Get(i)).ToString());
  }

 protected:
  rocksdb::Status Execute() override {
    const std::vector<rocksdb::Slice> slices(keys_.begin(), keys_.end());
    std::vector<rocksdb::PinnableSlice> values(keys_.size());
    std::vector<rocksdb::Status> statuses(keys_.size());
    if (!keys_.empty()) {
      db()->MultiGet(options_, db()->DefaultColumnFamily(), slices.size(), slices.data(), values.data(),
                     statuses.data());
    }
    for (size_t i = 0; i < slices.size(); i++) {
      if (statuses[i].IsNotFound()) {
        AppendLength(&packed_, kMissing);
      } else if (statuses[i].IsAborted()) {
        AppendLength(&packed_, kNotRead);
      } else if (!statuses[i].ok()) {
        return statuses[i];
      } else {
        AppendLength(&packed_, static_cast<uint32_t>(values[i].size()));
        packed_.append(values[i].data(), values[i].size());
      }
    }
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override { return ToBuffer(env, std::move(packed_)); }

 private:
  rocksdb::ReadOptions options_;
  std::vector<std::string> keys_;
  std::string packed_;
};

}  // namespace

Napi::Value QueueGet(Napi::Env env, const std::shared_ptr<Handle>& handle, rocksdb::Slice key, uint32_t snapshot) {
  const rocksdb::Snapshot* found = handle->FindSnapshot(snapshot);
  if (snapshot != 0 && found == nullptr) return Rejected(env, rocksdb::Status::InvalidArgument("snapshot was released"));
  return Worker::Queue(env, std::make_unique<GetWorker>(handle, key, found));
}

Napi::Value QueueMultiGet(Napi::Env env, const std::shared_ptr<Handle>& handle, const Napi::Array& keys,
                          uint64_t enough_bytes) {
  return Worker::Queue(env, std::make_unique<MultiGetWorker>(handle, keys, enough_bytes));
}

}  // namespace cairn
