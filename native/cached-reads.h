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

// Whether it pays to look in memory before a read is handed to the pool. A look that ends at a block that only the disk has costs the
// event loop as much as it saves where it finds something. So where most looks find nothing, only some are made, to notice when that
// changes.
class LooksInMemory {
 public:
  bool Pays() {
    if (!is_rare_) return true;
    skipped_ = (skipped_ + 1) % kOneOf;
    return skipped_ == 0;
  }

  void Note(bool is_found) {
    found_ += is_found ? 1 : 0;
    if (++looks_ < (is_rare_ ? kRareLooks : kLooks)) return;
    is_rare_ = found_ * (is_rare_ ? 3 : 4) < looks_;
    looks_ = 0;
    found_ = 0;
  }

 private:
  // After so many it is judged anew, and while looks are rare, after so many of these: one look of kOneOf reads.
  static constexpr uint32_t kLooks = 512;
  static constexpr uint32_t kRareLooks = 64;
  static constexpr uint32_t kOneOf = 8;

  bool is_rare_ = false;
  uint32_t looks_ = 0;
  uint32_t found_ = 0;
  uint32_t skipped_ = 0;
};

class CachedReads {
 public:
  // The function: read(key, how, slab).
  //   key    Buffer; `how` may have two bytes that come before it
  //   how    kHasPrefix and the two bytes, big endian, in its low half; kToBeWritten: the key is asked for because it will be put;
  //          kOnlyWhether: only whether it would touch the disk is asked (kOnDisk, or something else)
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
  static constexpr int32_t kOnlyWhether = 1 << 18;
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
  bool IsInMemory(rocksdb::Slice key, bool is_to_be_written);
  napi_value ReadDatabase(napi_env env, rocksdb::Slice key, bool is_to_be_written);
  // What memory has of the key, in pinned_: Incomplete where that is not everything, or a look does not pay.
  rocksdb::Status LookInMemory(rocksdb::Slice key, bool is_to_be_written);
  bool IsCachedEmpty(const rocksdb::Slice& key) const;
  napi_value ToSlab(napi_env env, rocksdb::Slice value);
  void Unpin();

  std::shared_ptr<Handle> handle_;
  rocksdb::ReadOptions cached_;
  rocksdb::PinnableSlice pinned_;
  std::string whole_key_;
  // A key that is put is often a new one, which the filters know: apart.
  LooksInMemory looks_;
  LooksInMemory looks_to_write_;
  napi_ref slab_reference_ = nullptr;
  char* slab_ = nullptr;
  size_t slab_bytes_ = 0;
  size_t slab_used_ = 0;
};

}  // namespace cairn
