// The base of everything that runs in libuv's pool, or on a thread of its own, and answers through a promise.
//
//   Queue     JavaScript thread   counts the operation into the handle, makes the promise
//   Execute   another thread      may block; no JavaScript
//   Result    JavaScript thread   only when Execute was OK; what the promise resolves to
//   ~Worker   JavaScript thread   right after, then the operation is counted out of the handle
//
// When the environment is ending, Result's values go nowhere: calls into JavaScript fail and are ignored.
#pragma once

#include <napi.h>

#include <memory>
#include <thread>

#include "handle.h"
#include "status.h"

namespace cairn {

class Worker {
 public:
  virtual ~Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes ownership of the worker. Rejects with Closed() when the handle is not open.
  static Napi::Value Queue(Napi::Env env, std::unique_ptr<Worker> worker);

  // The same for work that takes seconds and that nobody waits for: on a thread of its own, so that the pool's stay free, and of
  // lower priority than the event loop. Only for a worker without a handle, whose Execute soon ends when the environment is stopping.
  static Napi::Value QueueInBackground(Napi::Env env, std::unique_ptr<Worker> worker);

 protected:
  // handle: null for operations that need no open database.
  explicit Worker(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}

  virtual rocksdb::Status Execute() = 0;
  virtual Napi::Value Result(Napi::Env env) { return env.Undefined(); }
  // On the JavaScript thread, OK or not, before the promise settles: undo what the operation held.
  virtual void Finished() {}

  rocksdb::DB* db() const { return handle_->db(); }
  const std::shared_ptr<Handle>& handle() const { return handle_; }

  // For the one worker that runs on a closing handle (close itself): queue without being counted.
  static Napi::Promise Prepare(Napi::Env env, Worker* worker);
  static void Start(Worker* worker);

 private:
  static void ExecuteInPool(napi_env env, void* data);
  static void Complete(napi_env env, napi_status status, void* data);
  static void RunInBackground(Worker* worker);
  static void CompleteInBackground(napi_env env, napi_value none, void* context, void* data);
  static void JoinAtEnd(void* data);
  static void Settle(napi_env env, Worker* worker);

  std::shared_ptr<Handle> handle_;
  napi_env env_ = nullptr;
  napi_deferred deferred_ = nullptr;
  napi_async_work work_ = nullptr;
  rocksdb::Status status_;
  bool counted_ = false;

  // In the background only.
  std::thread thread_;
  napi_threadsafe_function completion_ = nullptr;
  std::shared_ptr<Environment> environment_;
};

// A promise that is rejected already.
Napi::Value Rejected(Napi::Env env, const rocksdb::Status& status);

// Bytes made in the pool, as a Buffer without copying them (small ones are copied: that is cheaper).
Napi::Value ToBuffer(Napi::Env env, std::string&& bytes);

}  // namespace cairn
