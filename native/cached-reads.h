// Reads that need no disk, on the calling thread: what every GET and SET begins with, so the way from JavaScript is short. A function
// of its own instead of a method (a method looks its object up, each time), the slab known from the call before, and a key that need not
// be put together in JavaScript first.
#pragma once

#include <napi.h>
#include <rocksdb/db.h>

#include <memory>
#include <string>

#include "handle.h"

namespace cairn {

class CachedReads {
 public:
  // The function: read(key, how, slab).
  //   key    Buffer; `how` may have two bytes that come before it
  //   how    kHasPrefix and the two bytes, big endian, in its low half; kToBeWritten: the key is asked for because it will be put
  //   slab   Buffer or nothing: where values go from now on; it is kept until the next one is given
  // answers the value's length (its bytes follow those of the call before in the slab), one of the constants below, or a Buffer (large
  // value). One view and no allocation for the common small value.
  static Napi::Value Make(Napi::Env env, const std::shared_ptr<Handle>& handle, napi_value slab);

  CachedReads(const CachedReads&) = delete;
  CachedReads& operator=(const CachedReads&) = delete;

 private:
  static constexpr int32_t kHasPrefix = 1 << 16;
  // That it is absent need not be remembered.
  static constexpr int32_t kToBeWritten = 1 << 17;
  static constexpr int32_t kNotFound = -1;
  static constexpr int32_t kOnDisk = -2;
  static constexpr int32_t kSlabFull = -3;
  // Values above this come back as a Buffer of their own.
  static constexpr size_t kSlabValueMax = 4096;

  explicit CachedReads(std::shared_ptr<Handle> handle);

  static napi_value Call(napi_env env, napi_callback_info info);
  void TakeSlab(napi_env env, napi_value slab);
  void LetGo(napi_env env);
  napi_value Read(napi_env env, rocksdb::Slice key, bool is_to_be_written);
  napi_value ReadDatabase(napi_env env, rocksdb::Slice key, bool is_to_be_written);
  bool IsCachedEmpty(const rocksdb::Slice& key) const;
  napi_value ToSlab(napi_env env, rocksdb::Slice value);
  void Unpin();

  std::shared_ptr<Handle> handle_;
  rocksdb::ReadOptions cached_;
  rocksdb::PinnableSlice pinned_;
  std::string whole_key_;
  napi_ref slab_reference_ = nullptr;
  char* slab_ = nullptr;
  size_t slab_bytes_ = 0;
  size_t slab_used_ = 0;
};

}  // namespace cairn
