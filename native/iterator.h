// A scan that gives blocks of entries: u32le key length, u32le value length, key, value, back to back. Positioned at the
// moment it is made; reads in the pool (next) or on the calling thread (nextSync), never both at once.
#pragma once

#include <napi.h>
#include <rocksdb/iterator.h>

#include <memory>
#include <string>

#include "handle.h"

namespace cairn {

struct ScanOptions {
  std::string lower;
  std::string upper;
  bool has_lower = false;
  bool has_upper = false;
  bool reverse = false;
  bool values = true;
  bool bypass_cache = true;
  size_t block_bytes = 64 << 10;
  size_t block_entries = 0;  // 0: no limit
  const rocksdb::Snapshot* snapshot = nullptr;
};

class Scan : public Attachment {
 public:
  Scan(std::shared_ptr<Handle> handle, ScanOptions options);
  ~Scan() override;

  // One block; empty at the end. Any thread, one call at a time.
  rocksdb::Status NextBlock(std::string* block);
  void Detach() override { iterator_.reset(); }
  bool detached() const { return iterator_ == nullptr; }

  bool busy = false;              // JavaScript thread: a next() is in the pool
  bool close_when_idle = false;   // JavaScript thread: close() came meanwhile
  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  std::shared_ptr<Handle> handle_;
  ScanOptions options_;
  rocksdb::Slice lower_;  // RocksDB keeps pointers to these two
  rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  bool started_ = false;
  bool ended_ = false;
};

class IteratorObject : public Napi::ObjectWrap<IteratorObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, std::shared_ptr<Scan> scan);
  explicit IteratorObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Next(const Napi::CallbackInfo& info);
  Napi::Value NextSync(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<Scan> scan_;
};

}  // namespace cairn
