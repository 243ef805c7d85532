// Writing a batch that JavaScript has encoded. RocksDB puts a batch into the WAL before it looks into it: one that is
// malformed would be an error at every later open. So it is read through once here, in the pool, and refused before.
#include <rocksdb/write_batch.h>

#include <optional>

#include "batch-walk.h"
#include "operations.h"

namespace cairn {
namespace {

constexpr uint32_t kSync = 1;
constexpr uint32_t kDisableWal = 2;
constexpr uint32_t kLowPriority = 4;

// Accepts puts, deletions, range deletions and log data of the default column family. Iterate() itself refuses unknown
// records, trailing bytes and a wrong count; the handlers that are not overridden refuse merges and single deletions.
class BatchCheck : public rocksdb::WriteBatch::Handler {
 public:
  rocksdb::Status PutCF(uint32_t family, const rocksdb::Slice&, const rocksdb::Slice&) override {
    return Allow(family);
  }
  rocksdb::Status DeleteCF(uint32_t family, const rocksdb::Slice&) override { return Allow(family); }
  rocksdb::Status DeleteRangeCF(uint32_t family, const rocksdb::Slice& from, const rocksdb::Slice& to) override {
    // RocksDB counts an empty one but gives it no sequence number: the last sequence would fall back at a restart.
    if (from.compare(to) >= 0) return rocksdb::Status::InvalidArgument("range deletion ends where or before it starts");
    return Allow(family);
  }
  rocksdb::Status SingleDeleteCF(uint32_t, const rocksdb::Slice&) override { return Refuse("single deletion"); }
  rocksdb::Status MergeCF(uint32_t, const rocksdb::Slice&, const rocksdb::Slice&) override { return Refuse("merge"); }
  rocksdb::Status PutBlobIndexCF(uint32_t, const rocksdb::Slice&, const rocksdb::Slice&) override {
    return Refuse("blob index");
  }
  void LogData(const rocksdb::Slice&) override {}
  rocksdb::Status MarkBeginPrepare(bool) override { return Refuse("prepare"); }
  rocksdb::Status MarkEndPrepare(const rocksdb::Slice&) override { return Refuse("prepare"); }
  rocksdb::Status MarkRollback(const rocksdb::Slice&) override { return Refuse("rollback"); }
  rocksdb::Status MarkCommit(const rocksdb::Slice&) override { return Refuse("commit"); }

 private:
  static rocksdb::Status Allow(uint32_t family) {
    return family == 0 ? rocksdb::Status::OK() : Refuse("another column family");
  }
  static rocksdb::Status Refuse(const char* what) {
    return rocksdb::Status::InvalidArgument("write batch holds what Cairn never writes", what);
  }
};

class WriteWorker : public Worker {
 public:
  WriteWorker(Napi::Env env, const std::shared_ptr<Handle>& handle, const Napi::Value& rep, uint32_t flags)
      : Worker(handle), env_(env), flags_(flags) {
    if (rep.IsArray()) {
      const auto pieces = rep.As<Napi::Array>();
      for (uint32_t i = 0; i < pieces.Length(); i++) pieces_.push_back(BytesOf(pieces.Get(i)));
    } else {
      pieces_.push_back(BytesOf(rep));
    }
    // Referenced, not copied: the bytes stay where they are until the pool thread has taken them. An array keeps its
    // pieces; whoever gave it does not change it.
    napi_create_reference(env, rep, 1, &buffer_);
    handle->writes_running++;
    if (handle->writes_running > 1) handle->writes_overlap = true;
  }

 protected:
  rocksdb::Status Execute() override {
    rocksdb::WriteBatch batch(TakeBytes());
    BatchCheck check;
    const rocksdb::Status sound = batch.Iterate(&check);
    if (!sound.ok()) return rocksdb::Status::InvalidArgument(sound.ToString());
    batch_.emplace(std::move(batch));
    rocksdb::WriteOptions options;
    options.sync = (flags_ & kSync) != 0;
    options.disableWAL = (flags_ & kDisableWal) != 0;
    options.low_pri = (flags_ & kLowPriority) != 0;
    const rocksdb::Status written = db()->Write(options, &*batch_);
    if (!options.disableWAL) handle()->log_failed = !written.ok();
    is_written_ = written.ok();
    return written;
  }

  void Finished() override {
    UpdateValues();
    handle()->writes_running--;
    if (handle()->writes_running == 0) handle()->writes_overlap = false;
    napi_delete_reference(env_, buffer_);
  }

 private:
  // The one copy of them that is made before RocksDB's own.
  std::string TakeBytes() const {
    size_t size = 0;
    for (const rocksdb::Slice& piece : pieces_) size += piece.size();
    std::string bytes;
    bytes.reserve(size);
    for (const rocksdb::Slice& piece : pieces_) bytes.append(piece.data(), piece.size());
    return bytes;
  }

  // What is cached is what was there before: now it is what was written, or unknown where that is not sure.
  void UpdateValues() {
    ValueCache* values = handle()->values.get();
    // Without a batch nothing was written.
    if (values == nullptr || !batch_) return;
    const bool is_known = is_written_ && !handle()->writes_overlap;
    rocksdb::Slice records = batch_->Data();
    if (records.size() < kBatchHeaderBytes) return;
    records.remove_prefix(kBatchHeaderBytes);
    BatchWalk walk(records);
    for (BatchWalk::Step step = walk.Next(); step != BatchWalk::Step::kEnd; step = walk.Next()) {
      if (step == BatchWalk::Step::kLogData) continue;
      if (step == BatchWalk::Step::kMalformed || walk.kind() == BatchWalk::Kind::kDeleteRange) {
        values->Clear();
        if (step == BatchWalk::Step::kMalformed) return;
      } else if (walk.kind() == BatchWalk::Kind::kPut && is_known && !walk.value().empty()) {
        values->Put(walk.key(), walk.value());
      } else {
        values->Erase(walk.key());
      }
    }
  }

  napi_env env_;
  uint32_t flags_;
  std::vector<rocksdb::Slice> pieces_;
  napi_ref buffer_ = nullptr;
  // Kept until it has ended: what is cached is brought up to date from it.
  std::optional<rocksdb::WriteBatch> batch_;
  bool is_written_ = false;
};

}  // namespace

Napi::Value QueueWrite(Napi::Env env, const std::shared_ptr<Handle>& handle, const Napi::Value& rep, uint32_t flags) {
  return Worker::Queue(env, std::make_unique<WriteWorker>(env, handle, rep, flags));
}

}  // namespace cairn
