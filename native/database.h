// The JavaScript face of one open database. Methods in two groups, by the thread that RocksDB is called on:
//
//   calling thread   cachedReads and what it gives, snapshot, releaseSnapshot, latestSequence, property, statistics, valueCache, iterate, updatesSince, commitsSince
//   pool (promise)   everything else
//
// Arguments are positional and already checked by src/engine; a closed database is refused here all the same.
#pragma once

#include <napi.h>

#include <memory>

#include "handle.h"

namespace cairn {

// What one environment (the main thread, a worker thread) has of the addon.
struct AddonData {
  std::shared_ptr<Environment> environment;
  Napi::FunctionReference database;
  Napi::FunctionReference iterator;
  Napi::FunctionReference wal_reader;
  Napi::FunctionReference commit_reader;
};

class Database : public Napi::ObjectWrap<Database> {
 public:
  static Napi::Function Define(Napi::Env env);
  // open(options): Promise<Database>
  static Napi::Value Open(const Napi::CallbackInfo& info);

  explicit Database(const Napi::CallbackInfo& info);

 private:
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value MakeCachedReads(const Napi::CallbackInfo& info);
  Napi::Value Get(const Napi::CallbackInfo& info);
  Napi::Value MultiGet(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Iterate(const Napi::CallbackInfo& info);
  Napi::Value UpdatesSince(const Napi::CallbackInfo& info);
  Napi::Value CommitsSince(const Napi::CallbackInfo& info);
  Napi::Value ReadCommit(const Napi::CallbackInfo& info);
  Napi::Value Replay(const Napi::CallbackInfo& info);
  Napi::Value UnlinkArchivedLog(const Napi::CallbackInfo& info);
  Napi::Value TakeSnapshot(const Napi::CallbackInfo& info);
  void ReleaseSnapshot(const Napi::CallbackInfo& info);
  Napi::Value LatestSequence(const Napi::CallbackInfo& info);
  Napi::Value Property(const Napi::CallbackInfo& info);
  Napi::Value Statistics(const Napi::CallbackInfo& info);
  Napi::Value ValueCacheState(const Napi::CallbackInfo& info);
  Napi::Value Flush(const Napi::CallbackInfo& info);
  Napi::Value FlushWal(const Napi::CallbackInfo& info);
  Napi::Value SyncWal(const Napi::CallbackInfo& info);
  Napi::Value DisableFileDeletions(const Napi::CallbackInfo& info);
  Napi::Value EnableFileDeletions(const Napi::CallbackInfo& info);
  Napi::Value LiveFiles(const Napi::CallbackInfo& info);
  Napi::Value Checkpoint(const Napi::CallbackInfo& info);
  Napi::Value VerifyChecksums(const Napi::CallbackInfo& info);
  Napi::Value CompactRange(const Napi::CallbackInfo& info);
  Napi::Value Resume(const Napi::CallbackInfo& info);
  Napi::Value LogUnusable(const Napi::CallbackInfo& info);
  Napi::Value CatchUp(const Napi::CallbackInfo& info);
  Napi::Value TableProperties(const Napi::CallbackInfo& info);

  // False, with a pending exception, when the database is closed.
  bool RequireOpen(Napi::Env env) const;

  std::shared_ptr<Handle> handle_;
};

}  // namespace cairn
