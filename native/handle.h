// One open database, and everything that must be gone before it may go. No JavaScript objects in here.
//
// Lifetime. Everything but Destroy and the two atomics is used on the JavaScript thread of the environment that opened
// the database, so counting needs no lock:
//
//   Open ──Close()──▶ Closing ──last operation left──▶ (pool) Destroy() ──▶ Closed
//
//   - Every operation in the pool stands between Enter() and Leave(). Enter fails unless Open.
//   - Iterators, WAL readers and snapshots are attached; Destroy detaches them (releases what they hold of RocksDB)
//     before it deletes the DB. Their JavaScript objects may live on; they answer "closed".
//   - An environment that ends (worker.terminate, end of the event loop) waits for requests in the pool, then runs the
//     clean-up hook, which is Destroy. process.exit() runs no hooks, but joins the pool; then the static registry in
//     handle.cc destroys what is open, before RocksDB's own statics go.
#pragma once

#include <napi.h>
#include <rocksdb/db.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace cairn {

// Something that holds a part of RocksDB and must let go before the database is deleted.
class Attachment {
 public:
  virtual ~Attachment() = default;
  // Idempotent. On any thread, while nothing else uses the attachment.
  virtual void Detach() = 0;
};

// What runs when the last operation has left a closing handle.
class CloseRequest {
 public:
  virtual ~CloseRequest() = default;
  virtual void Start() = 0;
};

class Handle {
 public:
  Handle(napi_env env, std::unique_ptr<rocksdb::DB> db);
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  bool IsOpen() const { return state_ == State::kOpen; }
  rocksdb::DB* db() const { return db_.get(); }
  napi_env env() const { return env_; }

  // Counts an operation in; false when closing or closed.
  bool Enter();
  // Counts it out; starts the waiting close after the last one.
  void Leave();

  // False when it was called before. `request` starts now, or after the last operation left.
  bool Close(CloseRequest* request);

  void Attach(Attachment* attachment) { attachments_.insert(attachment); }
  void Remove(Attachment* attachment) { attachments_.erase(attachment); }

  // Snapshots are numbers to JavaScript: a wrong one is an error, not a wild pointer.
  uint32_t TakeSnapshot();
  const rocksdb::Snapshot* FindSnapshot(uint32_t id) const;
  void ReleaseSnapshot(uint32_t id);

  // Detaches, then deletes the database. Idempotent; in the pool, in the clean-up hook, or at exit.
  rocksdb::Status Destroy();
  // On the JavaScript thread, after Destroy.
  void MarkClosed();

  // Long operations look at it between two steps: closing, or the process is about to end.
  std::atomic<bool> stopping{false};
  // Operations that are inside RocksDB at this moment; the exit path deletes nothing under them.
  std::atomic<int> running{0};

  // Tells every handle of the environment to stop its long operations (process 'exit' event).
  static void StopAll(napi_env env);

 private:
  enum class State { kOpen, kClosing, kClosed };

  static void OnEnvironmentEnd(void* self);

  napi_env env_;
  std::unique_ptr<rocksdb::DB> db_;
  State state_ = State::kOpen;
  bool hooked_ = false;
  size_t operations_ = 0;
  CloseRequest* close_ = nullptr;
  std::set<Attachment*> attachments_;
  std::map<uint32_t, const rocksdb::Snapshot*> snapshots_;
  uint32_t next_snapshot_ = 1;
};

}  // namespace cairn
