#include "iterator.h"

#include "database.h"
#include "worker.h"

namespace cairn {
namespace {

rocksdb::Status Busy() { return rocksdb::Status::Busy("another call on this iterator is running"); }

void AppendEntry(std::string* block, const rocksdb::Slice& key, const rocksdb::Slice& value) {
  char header[8];
  for (int i = 0; i < 4; i++) {
    header[i] = static_cast<char>(key.size() >> (8 * i));
    header[4 + i] = static_cast<char>(value.size() >> (8 * i));
  }
  block->append(header, sizeof header);
  block->append(key.data(), key.size());
  block->append(value.data(), value.size());
}

class NextWorker : public Worker {
 public:
  explicit NextWorker(const std::shared_ptr<Scan>& scan) : Worker(scan->handle()), scan_(scan) { scan->busy = true; }

 protected:
  rocksdb::Status Execute() override { return scan_->NextBlock(&block_); }
  Napi::Value Result(Napi::Env env) override {
    return block_.empty() ? env.Null() : ToBuffer(env, std::move(block_));
  }
  void Finished() override {
    scan_->busy = false;
    if (scan_->close_when_idle) scan_->Detach();
  }

 private:
  std::shared_ptr<Scan> scan_;
  std::string block_;
};

}  // namespace

Scan::Scan(std::shared_ptr<Handle> handle, ScanOptions options)
    : handle_(std::move(handle)), options_(std::move(options)), lower_(options_.lower), upper_(options_.upper) {
  rocksdb::ReadOptions read;
  read.snapshot = options_.snapshot;
  read.fill_cache = !options_.bypass_cache;
  if (options_.has_lower) read.iterate_lower_bound = &lower_;
  if (options_.has_upper) read.iterate_upper_bound = &upper_;
  iterator_.reset(handle_->db()->NewIterator(read));
  handle_->Attach(this);
}

Scan::~Scan() { handle_->Remove(this); }

rocksdb::Status Scan::NextBlock(std::string* block) {
  if (iterator_ == nullptr) return Closed();
  if (ended_) return iterator_->status();
  if (!started_) {
    started_ = true;
    if (options_.reverse) {
      iterator_->SeekToLast();
    } else {
      iterator_->SeekToFirst();
    }
  }
  size_t entries = 0;
  while (iterator_->Valid()) {
    AppendEntry(block, iterator_->key(), options_.values ? iterator_->value() : rocksdb::Slice());
    entries++;
    if (options_.reverse) {
      iterator_->Prev();
    } else {
      iterator_->Next();
    }
    if (block->size() >= options_.block_bytes || entries == options_.block_entries) break;
    if ((entries & 0x3ff) == 0 && handle_->stopping.load()) return Closed();
  }
  if (!iterator_->Valid()) ended_ = true;
  return iterator_->status();
}

Napi::Function IteratorObject::Define(Napi::Env env) {
  return DefineClass(env, "Iterator",
                     {InstanceMethod<&IteratorObject::Next>("next"),
                      InstanceMethod<&IteratorObject::NextSync>("nextSync"),
                      InstanceMethod<&IteratorObject::Close>("close")});
}

Napi::Value IteratorObject::Make(Napi::Env env, std::shared_ptr<Scan> scan) {
  return env.GetInstanceData<AddonData>()->iterator.New({Napi::External<std::shared_ptr<Scan>>::New(env, &scan)});
}

IteratorObject::IteratorObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<IteratorObject>(info) {
  scan_ = std::move(*info[0].As<Napi::External<std::shared_ptr<Scan>>>().Data());
}

Napi::Value IteratorObject::Next(const Napi::CallbackInfo& info) {
  if (scan_->busy) return Rejected(info.Env(), Busy());
  if (scan_->detached()) return Rejected(info.Env(), Closed());
  return Worker::Queue(info.Env(), std::make_unique<NextWorker>(scan_));
}

Napi::Value IteratorObject::NextSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string block;
  rocksdb::Status status = scan_->busy ? Busy() : Closed();
  if (!scan_->busy && scan_->handle()->IsOpen()) status = scan_->NextBlock(&block);
  if (!status.ok()) {
    ThrowStatus(env, status);
    return env.Undefined();
  }
  return block.empty() ? env.Null() : ToBuffer(env, std::move(block));
}

void IteratorObject::Close(const Napi::CallbackInfo&) {
  if (scan_->busy) {
    scan_->close_when_idle = true;
  } else if (scan_->handle()->IsOpen()) {
    scan_->Detach();
  }
}

}  // namespace cairn
