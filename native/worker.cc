#include "worker.h"

#include <sys/resource.h>

#include <algorithm>
#include <exception>
#include <system_error>

#include "database.h"

namespace cairn {
namespace {

constexpr size_t kCopyBelow = 2048;

// Like `nice`: the event loop, of ordinary priority, gets about ten times the time of a thread with this one.
constexpr int kBackground = 10;

// Linux has a priority for each thread; elsewhere it would be that of the whole process, which stays as it is. A container may
// forbid it: then all threads are as important.
void TakeWhatOthersLeave() {
#ifdef __linux__
  (void)setpriority(PRIO_PROCESS, 0, std::max(kBackground, getpriority(PRIO_PROCESS, 0)));
#endif
}

}  // namespace

Napi::Promise Worker::Prepare(Napi::Env env, Worker* worker) {
  napi_value promise = nullptr;
  napi_value name = nullptr;
  worker->env_ = env;
  napi_create_promise(env, &worker->deferred_, &promise);
  napi_create_string_latin1(env, "cairn", 5, &name);
  napi_create_async_work(env, nullptr, name, ExecuteInPool, Complete, worker, &worker->work_);
  return Napi::Promise(env, promise);
}

void Worker::Start(Worker* worker) { napi_queue_async_work(worker->env_, worker->work_); }

Napi::Value Worker::Queue(Napi::Env env, std::unique_ptr<Worker> worker) {
  if (worker->handle_ != nullptr) {
    if (!worker->handle_->Enter()) {
      worker->Finished();
      return Rejected(env, Closed());
    }
    worker->counted_ = true;
  }
  const Napi::Promise promise = Prepare(env, worker.get());
  Start(worker.release());
  return promise;
}

void Worker::ExecuteInPool(napi_env, void* data) {
  auto* worker = static_cast<Worker*>(data);
  Handle* handle = worker->handle_.get();
  if (handle != nullptr && !handle->BeginRun()) {
    worker->status_ = Closed();
    return;
  }
  try {
    worker->status_ = worker->Execute();
  } catch (const std::exception& error) {
    worker->status_ = rocksdb::Status::Aborted(error.what());
  }
  if (handle != nullptr) handle->EndRun();
}

void Worker::Complete(napi_env env, napi_status status, void* data) {
  auto* worker = static_cast<Worker*>(data);
  napi_delete_async_work(env, worker->work_);
  if (status != napi_ok) worker->status_ = rocksdb::Status::Aborted("cancelled");
  Settle(env, worker);
}

Napi::Value Worker::QueueInBackground(Napi::Env env, std::unique_ptr<Worker> owned) {
  Worker* worker = owned.get();
  napi_value promise = nullptr;
  napi_value name = nullptr;
  worker->env_ = env;
  worker->environment_ = env.GetInstanceData<AddonData>()->environment;
  napi_create_promise(env, &worker->deferred_, &promise);
  napi_create_string_latin1(env, "cairn", 5, &name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 1, 1, nullptr, nullptr, worker, CompleteInBackground,
                                      &worker->completion_) != napi_ok) {
    worker->status_ = rocksdb::Status::Aborted("no memory for a thread");
    Settle(env, owned.release());
    return Napi::Value(env, promise);
  }
  // After the function, so that it runs before the function's own.
  napi_add_env_cleanup_hook(env, JoinAtEnd, worker);
  try {
    worker->thread_ = std::thread(RunInBackground, worker);
    (void)owned.release();
  } catch (const std::system_error& error) {
    worker->status_ = rocksdb::Status::Aborted(std::string("no thread could be started: ") + error.what());
    (void)owned.release();
    CompleteInBackground(env, nullptr, worker, nullptr);
  }
  return Napi::Value(env, promise);
}

void Worker::RunInBackground(Worker* worker) {
  TakeWhatOthersLeave();
  const std::shared_ptr<Environment> environment = worker->environment_;
  if (!environment->BeginRun()) return;
  ExecuteInPool(nullptr, worker);
  // Never blocks: the queue takes the one call there is. Refused when the environment has ended, and that joins this thread.
  napi_call_threadsafe_function(worker->completion_, nullptr, napi_tsfn_nonblocking);
  environment->EndRun();
}

void Worker::CompleteInBackground(napi_env env, napi_value, void* context, void*) {
  auto* worker = static_cast<Worker*>(context);
  if (env == nullptr) {  // the environment has ended, and JoinAtEnd with it
    delete worker;
    return;
  }
  if (worker->thread_.joinable()) worker->thread_.join();
  napi_remove_env_cleanup_hook(env, JoinAtEnd, worker);
  napi_release_threadsafe_function(worker->completion_, napi_tsfn_release);
  Settle(env, worker);
}

// An environment that ends with the work running: nobody is there any more to be told.
void Worker::JoinAtEnd(void* data) {
  auto* worker = static_cast<Worker*>(data);
  worker->environment_->stopping.store(true);
  if (worker->thread_.joinable()) worker->thread_.join();
}

void Worker::Settle(napi_env raw, Worker* owned) {
  const Napi::Env env(raw);
  const Napi::HandleScope scope(env);
  std::unique_ptr<Worker> worker(owned);
  worker->Finished();
  // Counted out before the promise settles, and after everything that needs the database.
  napi_value result = worker->status_.ok() ? worker->Result(env) : StatusError(env, worker->status_);
  const bool resolved = worker->status_.ok();
  const napi_deferred deferred = worker->deferred_;
  const std::shared_ptr<Handle> handle = worker->counted_ ? worker->handle_ : nullptr;
  worker.reset();
  if (handle != nullptr) handle->Leave();
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) {
    // Out of memory while the result was made, for example: the promise must say so rather than stay open.
    napi_get_and_clear_last_exception(env, &result);
    napi_reject_deferred(env, deferred, result);
  } else if (resolved) {
    napi_resolve_deferred(env, deferred, result);
  } else {
    napi_reject_deferred(env, deferred, result);
  }
}

Napi::Value Rejected(Napi::Env env, const rocksdb::Status& status) {
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  napi_create_promise(env, &deferred, &promise);
  napi_reject_deferred(env, deferred, StatusError(env, status));
  return Napi::Value(env, promise);
}

Napi::Value ToBuffer(Napi::Env env, std::string&& bytes) {
  if (bytes.size() < kCopyBelow) return Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size());
  auto* owned = new std::string(std::move(bytes));
  return Napi::Buffer<char>::NewOrCopy(
      env, owned->data(), owned->size(), [](Napi::Env, char*, std::string* held) { delete held; }, owned);
}

}  // namespace cairn
