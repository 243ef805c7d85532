// One open database, and everything that must be gone before it may go. No JavaScript objects in here.
//
// Lifetime. Everything but Destroy and what is marked is used on the JavaScript thread of the environment that opened the
// database, so counting needs no lock:
//
//   Open ──Close()──▶ Closing ──last operation left──▶ (pool) Destroy() ──▶ Closed
//
//   - Every operation in the pool stands between Enter() and Leave(). Enter fails unless Open.
//   - Iterators, WAL readers and snapshots are attached; Destroy detaches them (releases what they hold of RocksDB)
//     before it deletes the DB. Their JavaScript objects may live on; they answer "closed".
//   - An environment that ends (worker.terminate, end of the event loop) waits for requests in the pool, then runs the
//     clean-up hook, which is Destroy.
//   - process.exit() and an uncaught exception run no hooks and complete no request, but emit 'exit', and that calls
//     Environment::Exit: operations that have not begun never will, those in the pool are waited for, then Destroy. An
//     open database must not be left to exit(): RocksDB's statics go before its background threads have stopped.
#pragma once

#include <napi.h>
#include <rocksdb/db.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>

#include "value-cache.h"

namespace cairn {

// Something that holds a part of RocksDB and must let go before the database is deleted.
class Attachment {
 public:
  virtual ~Attachment() = default;
  // Idempotent. On any thread, while no operation uses the attachment.
  virtual void Detach() = 0;
};

// What runs when the last operation has left a closing handle.
class CloseRequest {
 public:
  virtual ~CloseRequest() = default;
  virtual void Start() = 0;
};

class Handle;

// The open databases of one environment.
class Environment {
 public:
  explicit Environment(napi_env env) : env_(env) {}
  napi_env env() const { return env_; }
  // Any thread: long operations without a handle look at it between two steps.
  std::atomic<bool> stopping{false};
  void Add(Handle* handle) { handles_.insert(handle); }
  void Remove(Handle* handle) { handles_.erase(handle); }
  // The process is about to end: see above.
  void Exit();

  // Around what runs in the pool without a handle. False: the process is about to end, do nothing.
  bool BeginRun();
  // What was opened has no handle until the JavaScript thread takes it over; Exit closes it where that never happens.
  void EndRun(std::unique_ptr<rocksdb::DB>* opened = nullptr);
  void TakeOver(std::unique_ptr<rocksdb::DB>* opened);

 private:
  napi_env env_;
  std::set<Handle*> handles_;

  std::mutex mutex_;  // guards the rest
  std::condition_variable idle_;
  bool exiting_ = false;
  size_t running_ = 0;
  std::set<std::unique_ptr<rocksdb::DB>*> opened_;
};

// BeginRun, and EndRun on every way out.
class EnvironmentRun {
 public:
  explicit EnvironmentRun(Environment* environment) : environment_(environment->BeginRun() ? environment : nullptr) {}
  ~EnvironmentRun() {
    if (environment_ != nullptr) environment_->EndRun();
  }
  EnvironmentRun(const EnvironmentRun&) = delete;
  EnvironmentRun& operator=(const EnvironmentRun&) = delete;

  bool has_begun() const { return environment_ != nullptr; }

 private:
  Environment* const environment_;
};

class Handle {
 public:
  Handle(std::shared_ptr<Environment> environment, std::unique_ptr<rocksdb::DB> db);
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  bool IsOpen() const { return state_ == State::kOpen; }
  rocksdb::DB* db() const { return db_.get(); }

  // Counts an operation in; false when closing or closed.
  bool Enter();
  // Counts it out; starts the waiting close after the last one.
  void Leave();

  // False when it was called before. `request` starts now, or after the last operation left.
  bool Close(CloseRequest* request);

  void Attach(Attachment* attachment);
  // Detaches it as well. Its JavaScript object may be collected while Destroy runs in the pool.
  void Remove(Attachment* attachment);

  // Snapshots are numbers to JavaScript: a wrong one is an error, not a wild pointer.
  uint32_t TakeSnapshot();
  const rocksdb::Snapshot* FindSnapshot(uint32_t id) const;
  void ReleaseSnapshot(uint32_t id);

  // Detaches, then deletes the database. Idempotent; in the pool, in the clean-up hook, or at exit.
  rocksdb::Status Destroy();
  // On the JavaScript thread, after Destroy.
  void MarkClosed();

  // Pool thread, around everything that an operation does there; false: abandoned, do nothing.
  bool BeginRun();
  void EndRun();
  // The process is about to end: waits for what is between BeginRun and EndRun, lets nothing more begin, then destroys.
  void Abandon();

  // Any thread. Long operations look at it between two steps: closing, or the process is about to end.
  std::atomic<bool> stopping{false};

  // Any thread. A write failed, so the log's writer may be in its error state: to sync it then is misuse, and aborts the
  // process where RocksDB has its assertions. A write that succeeds, or Resume, ends it (both leave a log that takes more).
  std::atomic<bool> log_failed{false};
  // Any thread. The log could not be synced, or the error is one that Resume does not leave: RocksDB keeps the log's
  // writer, and refuses everything through it.
  std::atomic<bool> sync_failed{false};

  // JavaScript thread only. What getCached answers first; null: off, or closing. Every write brings it up to date when it has ended,
  // before its promise settles: until then it may know the values from before, as RocksDB may.
  std::unique_ptr<ValueCache> values;
  // Writes in the pool, and whether two were there at once: then nobody knows which came last.
  size_t writes_running = 0;
  bool writes_overlap = false;

  // Pool threads. Shared by what lists or opens logs, alone for what unlinks one: RocksDB lists all logs and then opens
  // them one by one, and fails where one has gone in between.
  std::shared_mutex log_files;

 private:
  enum class State { kOpen, kClosing, kClosed };

  static void OnEnvironmentEnd(void* self);

  std::shared_ptr<Environment> environment_;
  std::unique_ptr<rocksdb::DB> db_;
  State state_ = State::kOpen;
  bool hooked_ = false;
  size_t operations_ = 0;
  CloseRequest* close_ = nullptr;
  std::mutex attachments_mutex_;
  std::set<Attachment*> attachments_;
  std::map<uint32_t, const rocksdb::Snapshot*> snapshots_;
  uint32_t next_snapshot_ = 1;

  std::mutex mutex_;  // guards the two below
  std::condition_variable idle_;
  size_t running_ = 0;
  bool abandoned_ = false;
};

}  // namespace cairn
