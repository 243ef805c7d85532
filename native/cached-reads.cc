#include "cached-reads.h"

#include <cstring>
#include <string>

#include "operations.h"
#include "status.h"

namespace cairn {
namespace {

napi_value Number(napi_env env, int32_t number) {
  napi_value result = nullptr;
  napi_create_int32(env, number, &result);
  return result;
}

}  // namespace

CachedReads::CachedReads(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {
  cached_.read_tier = rocksdb::kBlockCacheTier;
}

Napi::Value CachedReads::Make(Napi::Env env, const std::shared_ptr<Handle>& handle, napi_value slab) {
  auto* reads = new CachedReads(handle);
  napi_value function = nullptr;
  const auto release = [](napi_env env, void* data, void*) {
    auto* reads = static_cast<CachedReads*>(data);
    reads->LetGo(env);
    delete reads;
  };
  if (napi_create_function(env, "read", NAPI_AUTO_LENGTH, Call, reads, &function) != napi_ok ||
      napi_add_finalizer(env, function, reads, release, nullptr, nullptr) != napi_ok) {
    delete reads;
    ThrowStatus(env, rocksdb::Status::Aborted("no memory for the reads of a database"));
    return Napi::Env(env).Undefined();
  }
  reads->TakeSlab(env, slab);
  return Napi::Value(env, function);
}

void CachedReads::TakeSlab(napi_env env, napi_value slab) {
  void* bytes = nullptr;
  LetGo(env);
  if (napi_get_buffer_info(env, slab, &bytes, &slab_bytes_) != napi_ok) return;
  napi_create_reference(env, slab, 1, &slab_reference_);
  slab_ = static_cast<char*>(bytes);
}

void CachedReads::LetGo(napi_env env) {
  if (slab_reference_ != nullptr) napi_delete_reference(env, slab_reference_);
  slab_reference_ = nullptr;
  slab_bytes_ = 0;
  slab_used_ = 0;
}

napi_value CachedReads::Call(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  auto* reads = static_cast<CachedReads*>(data);
  if (!reads->handle_->IsOpen()) {
    ThrowStatus(env, Closed());
    return nullptr;
  }
  int32_t how = 0;
  void* bytes = nullptr;
  size_t size = 0;
  napi_get_value_int32(env, arguments[1], &how);
  if (napi_get_buffer_info(env, arguments[0], &bytes, &size) != napi_ok) size = 0;
  if (count > 2) reads->TakeSlab(env, arguments[2]);
  // An empty Buffer may have no address; RocksDB asserts on null data in places.
  rocksdb::Slice key(size == 0 ? "" : static_cast<const char*>(bytes), size);
  if ((how & kHasPrefix) != 0) {
    std::string& whole = reads->whole_key_;
    whole.clear();
    whole.push_back(static_cast<char>(how >> 8));
    whole.push_back(static_cast<char>(how));
    whole.append(key.data(), key.size());
    key = whole;
  }
  const bool is_to_be_written = (how & kToBeWritten) != 0;
  const napi_value result = (how & kOnlyWhether) != 0
                                ? Number(env, reads->IsInMemory(key, is_to_be_written) ? 0 : kOnDisk)
                                : reads->Read(env, key, is_to_be_written);
  // Of a huge key the memory is given back.
  if (reads->whole_key_.capacity() > kSlabValueMax) std::string().swap(reads->whole_key_);
  return result;
}

napi_value CachedReads::Read(napi_env env, rocksdb::Slice key, bool is_to_be_written) {
  ValueCache* values = handle_->values.get();
  if (values != nullptr) {
    rocksdb::Slice known;
    switch (values->Get(key, &known)) {
      case ValueCache::Known::kValue:
        return ToSlab(env, known);
      case ValueCache::Known::kAbsent:
        return Number(env, kNotFound);
      case ValueCache::Known::kNothing:
        break;
    }
  }
  const napi_value result = ReadDatabase(env, key, is_to_be_written);
  Unpin();
  return result;
}

// A read that fails is not of the disk: whoever reads it hears why.
bool CachedReads::IsInMemory(rocksdb::Slice key, bool is_to_be_written) {
  ValueCache* values = handle_->values.get();
  rocksdb::Slice known;
  if (values != nullptr && values->Get(key, &known) != ValueCache::Known::kNothing) return true;
  const bool is_in_memory = !LookInMemory(key, is_to_be_written).IsIncomplete();
  Unpin();
  return is_in_memory;
}

napi_value CachedReads::ReadDatabase(napi_env env, rocksdb::Slice key, bool is_to_be_written) {
  ValueCache* values = handle_->values.get();
  const rocksdb::Status status = LookInMemory(key, is_to_be_written);
  if (status.IsNotFound()) {
    // What is put next replaces it at once, and would leave a hole in the cache.
    if (values != nullptr && !is_to_be_written) values->PutAbsent(key);
    return Number(env, kNotFound);
  }
  if (status.IsIncomplete()) return Number(env, kOnDisk);
  if (!status.ok()) {
    ThrowStatus(env, status);
    return nullptr;
  }
  if (pinned_.size() > kSlabValueMax) {
    napi_value large = nullptr;
    napi_create_buffer_copy(env, pinned_.size(), pinned_.data(), nullptr, &large);
    return large;
  }
  if (values != nullptr) values->Put(key, pinned_);
  return ToSlab(env, pinned_);
}

rocksdb::Status CachedReads::LookInMemory(rocksdb::Slice key, bool is_to_be_written) {
  LooksInMemory& looks = is_to_be_written ? looks_to_write_ : looks_;
  if (!looks.Pays()) return rocksdb::Status::Incomplete();
  rocksdb::DB* db = handle_->db();
  rocksdb::Status status = db->Get(cached_, db->DefaultColumnFamily(), key, &pinned_);
  if (status.ok() && pinned_.empty() && !IsCachedEmpty(key)) status = rocksdb::Status::Incomplete();
  looks.Note(!status.IsIncomplete());
  return status;
}

// A pinned block must not outlive the call: the database may be closed before the next. A value out of a memtable was copied, into
// memory that Reset keeps: that of a large one is given back.
void CachedReads::Unpin() {
  pinned_.Reset();
  if (pinned_.GetSelf()->capacity() > kSlabValueMax) std::string().swap(*pinned_.GetSelf());
}

// Of a key in a table that is not open Get says in this tier that its value is empty (mended in facebook/rocksdb#12443).
// KeyMayExist tells that from an empty value, once it found it empty too: the table may have been opened between the two.
bool CachedReads::IsCachedEmpty(const rocksdb::Slice& key) const {
  rocksdb::DB* db = handle_->db();
  std::string value;
  bool is_known = false;
  return db->KeyMayExist(cached_, db->DefaultColumnFamily(), key, &value, &is_known) && is_known && value.empty();
}

napi_value CachedReads::ToSlab(napi_env env, rocksdb::Slice value) {
  if (slab_bytes_ - slab_used_ < value.size()) return Number(env, kSlabFull);
  std::memcpy(slab_ + slab_used_, value.data(), value.size());
  slab_used_ += value.size();
  return Number(env, static_cast<int32_t>(value.size()));
}

}  // namespace cairn
