// Applying the records of a segment to a database, and checking them without one.
//
// Bodies are joined into batches of about batch_bytes and written past the WAL: one commit at a time costs about a
// fifth more. While one batch is written another thread checks the records of the next. The database is nobody else's meanwhile, and
// must stand exactly where the records begin; after every write its last sequence must be the records'.
#include <rocksdb/write_batch.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "batch-walk.h"
#include "commits.h"
#include "database.h"
#include "operations.h"
#include "records.h"

namespace cairn {
namespace {

constexpr size_t kLookUpEvery = 4096;

uint64_t StopOf(const Napi::Value& value) {
  const int64_t stop = value.As<Napi::Number>().Int64Value();
  return stop < 0 ? RecordCursor::kNever : static_cast<uint64_t>(stop);
}

// (bytes, from, to, timeline, digest or null, sequence, stopSequence, stopTimeUs)
RecordCursor::Range RangeOf(const Napi::CallbackInfo& info) {
  RecordCursor::Range range;
  const size_t size = BytesOf(info[0]).size();
  range.to = std::min(size, static_cast<size_t>(info[2].As<Napi::Number>().Int64Value()));
  range.from = std::min(range.to, static_cast<size_t>(info[1].As<Napi::Number>().Int64Value()));
  range.timeline = info[3].As<Napi::Number>().Uint32Value();
  range.digest = DigestOf(info[4]);
  range.is_chained = info[4].IsBuffer();
  range.sequence = static_cast<uint64_t>(info[5].As<Napi::Number>().Int64Value());
  range.stop_sequence = StopOf(info[6]);
  range.stop_time_us = StopOf(info[7]);
  return range;
}

// The Buffer is referenced, not copied, until the promise settles.
class RecordsWorker : public Worker {
 protected:
  RecordsWorker(std::shared_ptr<Handle> handle, const Napi::CallbackInfo& info)
      : Worker(std::move(handle)),
        cursor_(BytesOf(info[0]), RangeOf(info)),
        is_chained_(info[4].IsBuffer()),
        env_(info.Env()) {
    napi_create_reference(env_, info[0], 1, &buffer_);
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    const auto number = [&](const char* name, uint64_t value) {
      result.Set(name, Napi::Number::New(env, static_cast<double>(value)));
    };
    number("commits", cursor_.commits());
    number("sequence", cursor_.sequence());
    number("lastTimeUs", cursor_.last_time_us());
    number("offset", cursor_.offset());
    number("bytes", cursor_.body_bytes());
    result.Set("digest", is_chained_ ? DigestBuffer(env, cursor_.digest()) : env.Null());
    return result;
  }

  void Finished() override { napi_delete_reference(env_, buffer_); }

  RecordCursor cursor_;

 private:
  const bool is_chained_;
  napi_env env_;
  napi_ref buffer_ = nullptr;
};

class VerifyWorker : public RecordsWorker {
 public:
  explicit VerifyWorker(const Napi::CallbackInfo& info)
      : RecordsWorker(nullptr, info), environment_(info.Env().GetInstanceData<AddonData>()->environment) {}

 protected:
  rocksdb::Status Execute() override {
    const EnvironmentRun run(environment_.get());
    return run.has_begun() ? Verify() : Closed();
  }

 private:
  rocksdb::Status Verify() {
    Record record;
    bool taken = true;
    for (size_t n = 1; taken; n++) {
      const rocksdb::Status status = cursor_.Next(&record, &taken);
      if (!status.ok()) return status;
      if (n % kLookUpEvery == 0 && environment_->stopping.load()) return Closed();
    }
    return rocksdb::Status::OK();
  }

  std::shared_ptr<Environment> environment_;
};

class ReplayWorker : public RecordsWorker {
 public:
  ReplayWorker(const std::shared_ptr<Handle>& handle, const Napi::CallbackInfo& info)
      : RecordsWorker(handle, info), batch_bytes_(static_cast<size_t>(info[8].As<Napi::Number>().Int64Value())) {}

 protected:
  void Finished() override {
    RecordsWorker::Finished();
    if (handle()->values != nullptr) handle()->values->Clear();
  }

  rocksdb::Status Execute() override {
    rocksdb::Status status = Stands(cursor_.sequence());
    if (!status.ok()) return status;
    std::thread checking;
    try {
      checking = std::thread(&ReplayWorker::Check, this);
    } catch (const std::system_error&) {
      // No more threads for this process: one after the other then.
    }
    is_beside_ = checking.joinable();
    try {
      status = WriteChecked();
    } catch (...) {  // no memory: words about it would need some, and the thread has to be joined
      status = rocksdb::Status::Aborted();
    }
    Abandon();
    if (is_beside_) checking.join();
    return status.ok() ? check_status_ : status;
  }

 private:
  struct Batch {
    std::string rep;
    uint32_t count = 0;
    uint64_t last_sequence = 0;
  };

  rocksdb::Status WriteChecked() {
    rocksdb::Status status;
    while (status.ok()) {
      std::optional<Batch> batch = is_beside_ ? TakeChecked() : CheckNext();
      if (!batch.has_value()) break;
      status = handle()->stopping.load() ? Closed() : Write(std::move(*batch));
    }
    return status;
  }

  // On its own thread: every record, in order, until there are no more, one is wrong, or nobody wants them. What it leaves in cursor_ and
  // check_status_ is for after its end.
  void Check() {
    for (std::optional<Batch> batch = CheckNext(); batch.has_value(); batch = CheckNext()) {
      if (!HandOver(std::move(*batch))) break;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    is_checked_ = true;
    changed_.notify_one();
  }

  // Nothing: there are no more, or check_status_ says why not.
  std::optional<Batch> CheckNext() noexcept {
    if (!has_more_) return std::nullopt;
    Batch batch;
    try {
      check_status_ = Fill(&batch, &has_more_);
    } catch (...) {  // no memory: not even for words about it
      check_status_ = rocksdb::Status::Aborted();
    }
    if (!check_status_.ok()) has_more_ = false;
    if (!check_status_.ok() || batch.count == 0) return std::nullopt;
    return batch;
  }

  // Joins commits. *taken false: there are no more.
  rocksdb::Status Fill(Batch* batch, bool* taken) {
    batch->rep.reserve(kBatchHeaderBytes + batch_bytes_ + batch_bytes_ / 4);
    batch->rep.assign(kBatchHeaderBytes, '\0');
    Record record;
    do {
      const rocksdb::Status status = cursor_.Next(&record, taken);
      if (!status.ok() || !*taken) return status;
      batch->rep.append(record.body.data(), record.body.size());
      batch->count += record.count;
      batch->last_sequence = cursor_.sequence();
    } while (batch->rep.size() < batch_bytes_);
    return rocksdb::Status::OK();
  }

  // false: nobody wants it.
  bool HandOver(Batch batch) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !checked_.has_value() || is_abandoned_; });
    if (is_abandoned_) return false;
    checked_ = std::move(batch);
    changed_.notify_one();
    return true;
  }

  // Nothing: all are taken.
  std::optional<Batch> TakeChecked() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return checked_.has_value() || is_checked_; });
    std::optional<Batch> batch = std::move(checked_);
    checked_.reset();
    changed_.notify_one();
    return batch;
  }

  void Abandon() {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_abandoned_ = true;
    changed_.notify_one();
  }

  rocksdb::Status Write(Batch checked) {
    for (size_t i = 0; i < 4; i++) checked.rep[8 + i] = static_cast<char>(checked.count >> 8 * i);
    rocksdb::WriteBatch batch(std::move(checked.rep));
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    const rocksdb::Status status = db()->Write(options, &batch);
    return status.ok() ? Stands(checked.last_sequence) : status;
  }

  rocksdb::Status Stands(uint64_t expected) const {
    const uint64_t actual = db()->GetLatestSequenceNumber();
    if (actual == expected) return rocksdb::Status::OK();
    return rocksdb::Status::InvalidArgument("database expected=" + std::to_string(expected) +
                                            " actual=" + std::to_string(actual));
  }

  const size_t batch_bytes_;
  bool is_beside_ = false;
  bool has_more_ = true;
  rocksdb::Status check_status_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  std::optional<Batch> checked_;
  bool is_checked_ = false;
  bool is_abandoned_ = false;
};

}  // namespace

Napi::Value QueueReplay(const std::shared_ptr<Handle>& handle, const Napi::CallbackInfo& info) {
  return Worker::Queue(info.Env(), std::make_unique<ReplayWorker>(handle, info));
}

Napi::Value VerifyRecords(const Napi::CallbackInfo& info) {
  return Worker::Queue(info.Env(), std::make_unique<VerifyWorker>(info));
}

}  // namespace cairn
