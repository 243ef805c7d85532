#include "database.h"

#include <rocksdb/convenience.h>
#include <rocksdb/statistics.h>
#include <rocksdb/version.h>

#include "cached-reads.h"
#include "commits.h"
#include "iterator.h"
#include "operations.h"
#include "options.h"
#include "wal.h"

namespace cairn {
namespace {

constexpr uint32_t kScanReverse = 1;
constexpr uint32_t kScanNoValues = 2;
constexpr uint32_t kScanFillCache = 4;

AddonData* Data(Napi::Env env) { return env.GetInstanceData<AddonData>(); }

class OpenWorker : public Worker {
 public:
  OpenWorker(std::shared_ptr<Environment> environment, OpenRequest request)
      : Worker(nullptr), environment_(std::move(environment)), request_(std::move(request)) {}

 protected:
  rocksdb::Status Execute() override {
    if (!environment_->BeginRun()) return Closed();
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = Open(&db);
    db_.reset(db);
    environment_->EndRun(&db_);
    return status;
  }

  void Finished() override { environment_->TakeOver(&db_); }

  Napi::Value Result(Napi::Env env) override {
    auto handle = std::make_shared<Handle>(environment_, std::move(db_));
    // A secondary changes when it catches up, and is not written to.
    const bool caches = request_.value_cache_bytes > 0 && request_.mode != OpenMode::kSecondary;
    if (caches) handle->values = ValueCache::Make(request_.value_cache_bytes);
    return Data(env)->database.New({Napi::External<std::shared_ptr<Handle>>::New(env, &handle)});
  }

 private:
  rocksdb::Status Open(rocksdb::DB** db) const {
    switch (request_.mode) {
      case OpenMode::kReadOnly:
        return rocksdb::DB::OpenForReadOnly(request_.options, request_.path, db);
      case OpenMode::kSecondary:
        return rocksdb::DB::OpenAsSecondary(request_.options, request_.path, request_.secondary_path, db);
      default:
        return rocksdb::DB::Open(request_.options, request_.path, db);
    }
  }

  std::shared_ptr<Environment> environment_;
  OpenRequest request_;
  std::unique_ptr<rocksdb::DB> db_;
};

class CloseWorker : public Worker, public CloseRequest {
 public:
  static Napi::Value Request(Napi::Env env, const std::shared_ptr<Handle>& handle) {
    if (!handle->IsOpen()) return Rejected(env, Closed());
    handle->values.reset();
    auto* worker = new CloseWorker(handle);
    const Napi::Promise promise = Prepare(env, worker);
    handle->Close(worker);
    return promise;
  }

  void Start() override { Worker::Start(this); }

 protected:
  rocksdb::Status Execute() override { return handle()->Destroy(); }
  void Finished() override { handle()->MarkClosed(); }

 private:
  explicit CloseWorker(const std::shared_ptr<Handle>& handle) : Worker(handle) {}
};

rocksdb::Status EnableDeletions(rocksdb::DB* db) {
#if ROCKSDB_MAJOR >= 9
  return db->EnableFileDeletions();
#else
  return db->EnableFileDeletions(false);
#endif
}

// undefined or null: absent.
bool OptionalBytes(const Napi::Value& value, std::string* target) {
  if (!value.IsBuffer()) return false;
  *target = BytesOf(value).ToString();
  return true;
}

}  // namespace

Napi::Function Database::Define(Napi::Env env) {
  return DefineClass(env, "Database",
                     {InstanceMethod<&Database::Close>("close"),
                      InstanceMethod<&Database::MakeCachedReads>("cachedReads"),
                      InstanceMethod<&Database::Get>("get"),
                      InstanceMethod<&Database::MultiGet>("multiGet"),
                      InstanceMethod<&Database::Write>("write"),
                      InstanceMethod<&Database::Iterate>("iterate"),
                      InstanceMethod<&Database::UpdatesSince>("updatesSince"),
                      InstanceMethod<&Database::CommitsSince>("commitsSince"),
                      InstanceMethod<&Database::ReadCommit>("readCommit"),
                      InstanceMethod<&Database::Replay>("replay"),
                      InstanceMethod<&Database::UnlinkArchivedLog>("unlinkArchivedLog"),
                      InstanceMethod<&Database::TakeSnapshot>("snapshot"),
                      InstanceMethod<&Database::ReleaseSnapshot>("releaseSnapshot"),
                      InstanceMethod<&Database::LatestSequence>("latestSequence"),
                      InstanceMethod<&Database::Property>("property"),
                      InstanceMethod<&Database::Statistics>("statistics"),
                      InstanceMethod<&Database::ValueCacheState>("valueCache"),
                      InstanceMethod<&Database::Flush>("flush"),
                      InstanceMethod<&Database::FlushWal>("flushWal"),
                      InstanceMethod<&Database::SyncWal>("syncWal"),
                      InstanceMethod<&Database::DisableFileDeletions>("disableFileDeletions"),
                      InstanceMethod<&Database::EnableFileDeletions>("enableFileDeletions"),
                      InstanceMethod<&Database::LiveFiles>("liveFiles"),
                      InstanceMethod<&Database::Checkpoint>("checkpoint"),
                      InstanceMethod<&Database::VerifyChecksums>("verifyChecksums"),
                      InstanceMethod<&Database::CompactRange>("compactRange"),
                      InstanceMethod<&Database::Resume>("resume"),
                      InstanceMethod<&Database::LogUnusable>("logUnusable"),
                      InstanceMethod<&Database::CatchUp>("catchUp"),
                      InstanceMethod<&Database::TableProperties>("tableProperties")});
}

Napi::Value Database::Open(const Napi::CallbackInfo& info) {
  OpenRequest request = ReadOpenRequest(info[0].As<Napi::Object>());
  return Worker::Queue(info.Env(), std::make_unique<OpenWorker>(Data(info.Env())->environment, std::move(request)));
}

Database::Database(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Database>(info) {
  handle_ = std::move(*info[0].As<Napi::External<std::shared_ptr<Handle>>>().Data());
}

bool Database::RequireOpen(Napi::Env env) const {
  if (handle_->IsOpen()) return true;
  ThrowStatus(env, Closed());
  return false;
}

Napi::Value Database::Close(const Napi::CallbackInfo& info) { return CloseWorker::Request(info.Env(), handle_); }

// cachedReads(slab): what reads from memory, a function; see cached-reads.h.
Napi::Value Database::MakeCachedReads(const Napi::CallbackInfo& info) {
  return CachedReads::Make(info.Env(), handle_, info[0]);
}

Napi::Value Database::Get(const Napi::CallbackInfo& info) {
  return QueueGet(info.Env(), handle_, BytesOf(info[0]), info[1].As<Napi::Number>().Uint32Value());
}

Napi::Value Database::MultiGet(const Napi::CallbackInfo& info) {
  const bool has_limit = info.Length() > 1 && info[1].IsNumber();
  const uint64_t enough_bytes = has_limit ? info[1].As<Napi::Number>().Uint32Value() : 0;
  return QueueMultiGet(info.Env(), handle_, info[0].As<Napi::Array>(), enough_bytes);
}

Napi::Value Database::Write(const Napi::CallbackInfo& info) {
  return QueueWrite(info.Env(), handle_, info[0], info[1].As<Napi::Number>().Uint32Value());
}

// iterate(gte, lt, flags, blockBytes, blockEntries, snapshot)
Napi::Value Database::Iterate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  ScanOptions options;
  options.has_lower = OptionalBytes(info[0], &options.lower);
  options.has_upper = OptionalBytes(info[1], &options.upper);
  const uint32_t flags = info[2].As<Napi::Number>().Uint32Value();
  options.reverse = (flags & kScanReverse) != 0;
  options.values = (flags & kScanNoValues) == 0;
  options.bypass_cache = (flags & kScanFillCache) == 0;
  options.block_bytes = info[3].As<Napi::Number>().Uint32Value();
  options.block_entries = info[4].As<Napi::Number>().Uint32Value();
  const uint32_t snapshot = info[5].As<Napi::Number>().Uint32Value();
  options.snapshot = handle_->FindSnapshot(snapshot);
  if (snapshot != 0 && options.snapshot == nullptr) {
    ThrowStatus(env, rocksdb::Status::InvalidArgument("snapshot was released"));
    return env.Undefined();
  }
  return IteratorObject::Make(env, std::make_shared<Scan>(handle_, std::move(options)));
}

Napi::Value Database::UpdatesSince(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  const auto from = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  return WalReaderObject::Make(env, std::make_shared<WalTail>(handle_, from));
}

// commitsSince(sequenceFrom, timeline, digest, lastTimeUs, markPrefix, markBytes, markTimeOffset, markTimelineOffset)
Napi::Value Database::CommitsSince(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  return CommitReaderObject::Make(env, handle_, info);
}

// readCommit(sequence, unmarkedTimeUs, markPrefix, markBytes, markTimeOffset, markTimelineOffset)
Napi::Value Database::ReadCommit(const Napi::CallbackInfo& info) { return QueueReadCommit(handle_, info); }

// replay(bytes, from, to, timeline, digest, sequence, stopSequence, stopTimeUs, batchBytes); a stop below 0: none
Napi::Value Database::Replay(const Napi::CallbackInfo& info) { return QueueReplay(handle_, info); }

Napi::Value Database::UnlinkArchivedLog(const Napi::CallbackInfo& info) {
  return QueueUnlinkArchivedLog(info.Env(), handle_, info[0].As<Napi::String>().Utf8Value());
}

// snapshot(): [id, sequence]
Napi::Value Database::TakeSnapshot(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  const uint32_t id = handle_->TakeSnapshot();
  if (id == 0) {
    ThrowStatus(env, rocksdb::Status::NotSupported("this database gives no snapshots"));
    return env.Undefined();
  }
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(0u, Napi::Number::New(env, id));
  pair.Set(1u, Napi::Number::New(env, static_cast<double>(handle_->FindSnapshot(id)->GetSequenceNumber())));
  return pair;
}

void Database::ReleaseSnapshot(const Napi::CallbackInfo& info) {
  handle_->ReleaseSnapshot(info[0].As<Napi::Number>().Uint32Value());
}

Napi::Value Database::LatestSequence(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  return Napi::Number::New(env, static_cast<double>(handle_->db()->GetLatestSequenceNumber()));
}

Napi::Value Database::Property(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  std::string value;
  if (!handle_->db()->GetProperty(info[0].As<Napi::String>().Utf8Value(), &value)) return env.Null();
  return Napi::String::New(env, value);
}

Napi::Value Database::Statistics(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  Napi::Object result = Napi::Object::New(env);
  const std::shared_ptr<rocksdb::Statistics> statistics = handle_->db()->GetDBOptions().statistics;
  for (const auto& ticker : rocksdb::TickersNameMap) {
    result.Set(ticker.second,
               Napi::Number::New(env, static_cast<double>(statistics->getTickerCount(ticker.first))));
  }
  return result;
}

// valueCache(): { bytes, hits, misses }
Napi::Value Database::ValueCacheState(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!RequireOpen(env)) return env.Undefined();
  const ValueCache* values = handle_->values.get();
  const auto set = [&](Napi::Object* target, const char* name, uint64_t number) {
    target->Set(name, Napi::Number::New(env, static_cast<double>(number)));
  };
  Napi::Object result = Napi::Object::New(env);
  set(&result, "bytes", values == nullptr ? 0 : values->used());
  set(&result, "hits", values == nullptr ? 0 : values->hits());
  set(&result, "misses", values == nullptr ? 0 : values->misses());
  return result;
}

Napi::Value Database::Flush(const Napi::CallbackInfo& info) {
  return CallWorker::Queue(info.Env(), handle_, [](rocksdb::DB* db) { return db->Flush(rocksdb::FlushOptions()); });
}

namespace {

Napi::Value QueueFlushWal(Napi::Env env, const std::shared_ptr<Handle>& handle, bool sync) {
  return CallWorker::Queue(env, handle, [handle, sync](rocksdb::DB* db) {
    if (handle->log_failed) return rocksdb::Status::IOError("the log cannot be synced after a failed write");
    const rocksdb::Status flushed = db->FlushWAL(sync);
    if (!flushed.ok()) handle->sync_failed = true;
    return flushed;
  });
}

}  // namespace

Napi::Value Database::FlushWal(const Napi::CallbackInfo& info) {
  return QueueFlushWal(info.Env(), handle_, false);
}

Napi::Value Database::SyncWal(const Napi::CallbackInfo& info) {
  return QueueFlushWal(info.Env(), handle_, true);
}

Napi::Value Database::DisableFileDeletions(const Napi::CallbackInfo& info) {
  return CallWorker::Queue(info.Env(), handle_, [](rocksdb::DB* db) { return db->DisableFileDeletions(); });
}

Napi::Value Database::EnableFileDeletions(const Napi::CallbackInfo& info) {
  return CallWorker::Queue(info.Env(), handle_, EnableDeletions);
}

Napi::Value Database::LiveFiles(const Napi::CallbackInfo& info) { return QueueLiveFiles(info.Env(), handle_); }

Napi::Value Database::Checkpoint(const Napi::CallbackInfo& info) {
  return QueueCheckpoint(info.Env(), handle_, info[0].As<Napi::String>().Utf8Value());
}

Napi::Value Database::VerifyChecksums(const Napi::CallbackInfo& info) {
  return QueueVerifyChecksums(info.Env(), handle_);
}

Napi::Value Database::CompactRange(const Napi::CallbackInfo& info) {
  std::string from;
  std::string to;
  const bool has_from = OptionalBytes(info[0], &from);
  const bool has_to = OptionalBytes(info[1], &to);
  Handle* handle = handle_.get();  // kept alive by the worker
  return CallWorker::Queue(info.Env(), handle_, [=](rocksdb::DB* db) {
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    options.canceled = &handle->stopping;
    const rocksdb::Slice lower(from);
    const rocksdb::Slice upper(to);
    return db->CompactRange(options, has_from ? &lower : nullptr, has_to ? &upper : nullptr);
  });
}

Napi::Value Database::Resume(const Napi::CallbackInfo& info) {
  return CallWorker::Queue(info.Env(), handle_, [handle = handle_](rocksdb::DB* db) {
    const rocksdb::Status resumed = db->Resume();
    if (resumed.ok()) handle->log_failed = false;
    // RocksDB itself never leaves an error that is this severe; a sync of the log that failed is one.
    if (resumed.severity() >= rocksdb::Status::Severity::kFatalError) handle->sync_failed = true;
    return resumed;
  });
}

// RocksDB begins a new log only together with a new memtable. Where the write that failed was the first one after a flush,
// Resume has none to begin: the failed log's writer stays, and the next write through it is refused, or aborts the process
// where RocksDB has its assertions (facebook/rocksdb#12998).
Napi::Value Database::LogUnusable(const Napi::CallbackInfo& info) {
  if (!RequireOpen(info.Env())) return info.Env().Undefined();
  if (handle_->sync_failed) return Napi::Boolean::New(info.Env(), true);
  if (!handle_->log_failed) return Napi::Boolean::New(info.Env(), false);
  uint64_t entries = 0;
  handle_->db()->GetIntProperty(rocksdb::DB::Properties::kNumEntriesActiveMemTable, &entries);
  return Napi::Boolean::New(info.Env(), entries == 0);
}

Napi::Value Database::CatchUp(const Napi::CallbackInfo& info) {
  return CallWorker::Queue(info.Env(), handle_, [](rocksdb::DB* db) { return db->TryCatchUpWithPrimary(); });
}

Napi::Value Database::TableProperties(const Napi::CallbackInfo& info) {
  return QueueTableProperties(info.Env(), handle_);
}

}  // namespace cairn
