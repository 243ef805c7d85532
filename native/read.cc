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

// Answers one buffer: per key u32le length and the value, length 0xffffffff for a missing key. With a limit: once the values have so many
// bytes the others are left out, 0xfffffffe.
class MultiGetWorker : public Worker {
 public:
  MultiGetWorker(const std::shared_ptr<Handle>& handle, const Napi::Array& keys, uint64_t enough_bytes)
      : Worker(handle), enough_bytes_(enough_bytes) {
    keys_.reserve(keys.Length());
    for (uint32_t i = 0; i < keys.Length(); i++) keys_.push_back(BytesOf(keys.Get(i)).ToString());
  }

 protected:
  rocksdb::Status Execute() override { return enough_bytes_ == 0 ? ReadAll() : ReadSome(); }

  Napi::Value Result(Napi::Env env) override { return ToBuffer(env, std::move(packed_)); }

 private:
  rocksdb::Status ReadAll() {
    const std::vector<rocksdb::Slice> slices(keys_.begin(), keys_.end());
    std::vector<rocksdb::PinnableSlice> values(keys_.size());
    std::vector<rocksdb::Status> statuses(keys_.size());
    if (!keys_.empty()) {
      db()->MultiGet(rocksdb::ReadOptions(), db()->DefaultColumnFamily(), slices.size(), slices.data(), values.data(),
                     statuses.data());
    }
    for (size_t i = 0; i < slices.size(); i++) {
      if (!Append(statuses[i], values[i])) return statuses[i];
    }
    return rocksdb::Status::OK();
  }

  // One after the other, so that no more than one value is read that is too much: MultiGet reads the blocks of many before it looks at
  // its own limit (value_size_soft_limit).
  rocksdb::Status ReadSome() {
    rocksdb::PinnableSlice value;
    uint64_t bytes = 0;
    for (const std::string& key : keys_) {
      if (bytes >= enough_bytes_) {
        AppendLength(&packed_, kNotRead);
        continue;
      }
      value.Reset();
      const rocksdb::Status status = db()->Get(rocksdb::ReadOptions(), db()->DefaultColumnFamily(), key, &value);
      // Whoever needs it reads it by itself, and hears why it cannot be read.
      if (!Append(status, value)) AppendLength(&packed_, kNotRead);
      bytes += value.size();
    }
    return rocksdb::Status::OK();
  }

  bool Append(const rocksdb::Status& status, const rocksdb::Slice& value) {
    if (status.IsNotFound()) {
      AppendLength(&packed_, kMissing);
    } else if (!status.ok()) {
      return false;
    } else {
      AppendLength(&packed_, static_cast<uint32_t>(value.size()));
      packed_.append(value.data(), value.size());
    }
    return true;
  }

  const uint64_t enough_bytes_;
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
