#include "wal.h"

#include <rocksdb/write_batch.h>

#include <shared_mutex>
#include <vector>

#include "database.h"
#include "worker.h"

namespace cairn {
namespace {

// NotFound is what src/engine turns into WALGAP; RocksDB itself uses it for the same ("Gap in sequence numbers").
rocksdb::Status Gap(uint64_t wanted, uint64_t found) {
  return rocksdb::Status::NotFound("gap wanted=" + std::to_string(wanted) + " found=" + std::to_string(found));
}

bool IsGap(const rocksdb::Status& status) {
  return status.IsNotFound() || (status.IsCorruption() && status.ToString().find("equence") != std::string::npos);
}

struct WalBatch {
  uint64_t sequence;
  uint32_t count;
  std::string rep;
};

class ReadWorker : public Worker {
 public:
  ReadWorker(const std::shared_ptr<WalTail>& tail, size_t max_bytes)
      : Worker(tail->handle()), tail_(tail), max_bytes_(max_bytes) {}

 protected:
  rocksdb::Status Execute() override {
    size_t bytes = 0;
    while (bytes < max_bytes_ && !handle()->stopping.load()) {
      rocksdb::BatchResult result;
      const rocksdb::Status status = tail_->Next(&result);
      // What was read before a failure is good and is delivered first; the failure comes again at the next call.
      if (!status.ok()) return batches_.empty() ? status : rocksdb::Status::OK();
      if (result.writeBatchPtr == nullptr) break;
      const std::string& rep = result.writeBatchPtr->Data();
      batches_.push_back({result.sequence, result.writeBatchPtr->Count(), rep});
      bytes += rep.size();
    }
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Array result = Napi::Array::New(env, batches_.size());
    for (uint32_t i = 0; i < batches_.size(); i++) {
      Napi::Object batch = Napi::Object::New(env);
      batch.Set("sequence", Napi::Number::New(env, static_cast<double>(batches_[i].sequence)));
      batch.Set("count", Napi::Number::New(env, batches_[i].count));
      batch.Set("rep", ToBuffer(env, std::move(batches_[i].rep)));
      result.Set(i, batch);
    }
    return result;
  }

  void Finished() override { tail_->End(); }

 private:
  std::shared_ptr<WalTail> tail_;
  size_t max_bytes_;
  std::vector<WalBatch> batches_;
};

}  // namespace

WalTail::WalTail(std::shared_ptr<Handle> handle, uint64_t from) : handle_(std::move(handle)), next_(from) {
  handle_->Attach(this);
}

WalTail::~WalTail() { handle_->Remove(this); }

void WalTail::Detach() {
  detached_ = true;
  iterator_.reset();
}

Napi::Value WalTail::Begin(Napi::Env env) {
  if (busy_) return Rejected(env, rocksdb::Status::Busy("another call on this WAL reader is running"));
  if (detached_) return Rejected(env, Closed());
  busy_ = true;
  return Napi::Value();
}

void WalTail::End() {
  busy_ = false;
  if (close_when_idle_) Detach();
}

void WalTail::Close() {
  if (busy_) {
    close_when_idle_ = true;
  } else if (handle_->IsOpen()) {
    Detach();
  }
}

rocksdb::Status WalTail::Next(rocksdb::BatchResult* batch) {
  if (detached_) return Closed();
  const std::shared_lock<std::shared_mutex> logs_stay(handle_->log_files);
  batch->writeBatchPtr.reset();
  while (batch->writeBatchPtr == nullptr) {
    rocksdb::Status status = Advance();
    if (status.ok() && (iterator_ == nullptr || !iterator_->Valid())) return status;  // the tail
    if (status.ok()) status = Take(batch);
    if (!status.ok()) {
      iterator_.reset();
      return status;
    }
  }
  return rocksdb::Status::OK();
}

rocksdb::Status WalTail::Advance() {
  if (iterator_ != nullptr) {
    iterator_->Next();
    const rocksdb::Status status = iterator_->status();
    if (status.ok()) return status;  // on a batch, or at the tail
    // A log roll (TryAgain), a log that was unlinked ahead of it, damage: a fresh one says what there is.
    iterator_.reset();
  }
  const uint64_t latest = handle_->db()->GetLatestSequenceNumber();
  if (next_ == latest + 1) return rocksdb::Status::OK();
  if (next_ > latest) return Gap(next_, latest);

  rocksdb::Status status = handle_->db()->GetUpdatesSince(next_, &iterator_);
  if (status.ok()) status = iterator_->status();
  if (status.ok() && iterator_->Valid()) return status;
  iterator_.reset();  // never Valid: Next on it would abort the process
  if (status.ok() || IsGap(status)) return Gap(next_, 0);
  return status;
}

rocksdb::Status WalTail::Take(rocksdb::BatchResult* batch) {
  rocksdb::BatchResult result = iterator_->GetBatch();
  const uint64_t first = result.sequence;
  const uint32_t count = result.writeBatchPtr->Count();
  if (first > next_) return Gap(next_, first);
  if (delivered_ && first < next_) {
    // A recreated iterator gives the batch that holds next_; batches are delivered whole, so it begins there.
    if (first + count <= next_) return rocksdb::Status::OK();
    return Gap(next_, first);
  }
  next_ = first + count;
  delivered_ = true;
  *batch = std::move(result);
  return rocksdb::Status::OK();
}

Napi::Function WalReaderObject::Define(Napi::Env env) {
  return DefineClass(env, "WalReader",
                     {InstanceMethod<&WalReaderObject::Next>("next"), InstanceMethod<&WalReaderObject::Close>("close")});
}

Napi::Value WalReaderObject::Make(Napi::Env env, std::shared_ptr<WalTail> tail) {
  return env.GetInstanceData<AddonData>()->wal_reader.New({Napi::External<std::shared_ptr<WalTail>>::New(env, &tail)});
}

WalReaderObject::WalReaderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WalReaderObject>(info) {
  tail_ = std::move(*info[0].As<Napi::External<std::shared_ptr<WalTail>>>().Data());
}

Napi::Value WalReaderObject::Next(const Napi::CallbackInfo& info) {
  const Napi::Value refused = tail_->Begin(info.Env());
  if (!refused.IsEmpty()) return refused;
  const size_t max_bytes = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  return Worker::Queue(info.Env(), std::make_unique<ReadWorker>(tail_, max_bytes));
}

void WalReaderObject::Close(const Napi::CallbackInfo&) { tail_->Close(); }

}  // namespace cairn
