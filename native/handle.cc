#include "handle.h"

#include <rocksdb/env.h>

#include <mutex>

namespace cairn {
namespace {

// Every handle that is open in the process. Made when the addon is loaded, after RocksDB's default environment, so that
// at exit it is destroyed before that.
class Registry {
 public:
  Registry() { rocksdb::Env::Default(); }

  ~Registry() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Handle* handle : handles_) {
      // A pool thread that is still inside RocksDB (it should have been joined) keeps its database: leaking at exit is
      // harmless, deleting under it is not.
      if (handle->running.load() == 0) handle->Destroy().PermitUncheckedError();
    }
  }

  void Add(Handle* handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    handles_.insert(handle);
  }

  void Remove(Handle* handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    handles_.erase(handle);
  }

  void StopAll(napi_env env) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Handle* handle : handles_) {
      if (handle->env() == env) handle->stopping.store(true);
    }
  }

 private:
  std::mutex mutex_;
  std::set<Handle*> handles_;
};

Registry registry;

}  // namespace

Handle::Handle(napi_env env, std::unique_ptr<rocksdb::DB> db) : env_(env), db_(std::move(db)) {
  hooked_ = napi_add_env_cleanup_hook(env_, OnEnvironmentEnd, this) == napi_ok;
  registry.Add(this);
}

Handle::~Handle() {
  registry.Remove(this);
  Destroy().PermitUncheckedError();
  MarkClosed();
}

bool Handle::Enter() {
  if (state_ != State::kOpen) return false;
  operations_++;
  return true;
}

void Handle::Leave() {
  operations_--;
  if (operations_ == 0 && close_ != nullptr) {
    CloseRequest* request = close_;
    close_ = nullptr;
    request->Start();
  }
}

bool Handle::Close(CloseRequest* request) {
  if (state_ != State::kOpen) return false;
  state_ = State::kClosing;
  stopping.store(true);
  if (operations_ == 0) {
    request->Start();
  } else {
    close_ = request;
  }
  return true;
}

uint32_t Handle::TakeSnapshot() {
  const rocksdb::Snapshot* snapshot = db_->GetSnapshot();
  if (snapshot == nullptr) return 0;
  const uint32_t id = next_snapshot_++;
  snapshots_[id] = snapshot;
  return id;
}

const rocksdb::Snapshot* Handle::FindSnapshot(uint32_t id) const {
  const auto found = snapshots_.find(id);
  return found == snapshots_.end() ? nullptr : found->second;
}

void Handle::ReleaseSnapshot(uint32_t id) {
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end() || state_ != State::kOpen) return;
  db_->ReleaseSnapshot(found->second);
  snapshots_.erase(found);
}

rocksdb::Status Handle::Destroy() {
  if (db_ == nullptr) return rocksdb::Status::OK();
  for (Attachment* attachment : attachments_) attachment->Detach();
  for (const auto& entry : snapshots_) db_->ReleaseSnapshot(entry.second);
  snapshots_.clear();
  const rocksdb::Status status = db_->Close();
  db_.reset();
  return status;
}

void Handle::MarkClosed() {
  state_ = State::kClosed;
  if (hooked_) {
    hooked_ = false;
    napi_remove_env_cleanup_hook(env_, OnEnvironmentEnd, this);
  }
}

void Handle::StopAll(napi_env env) { registry.StopAll(env); }

void Handle::OnEnvironmentEnd(void* self) {
  auto* handle = static_cast<Handle*>(self);
  handle->hooked_ = false;
  handle->state_ = State::kClosed;
  handle->stopping.store(true);
  handle->Destroy().PermitUncheckedError();
}

}  // namespace cairn
