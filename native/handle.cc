#include "handle.h"

namespace cairn {

void Environment::Exit() {
  stopping.store(true);
  for (Handle* handle : handles_) handle->stopping.store(true);
  for (Handle* handle : handles_) handle->Abandon();
  std::unique_lock<std::mutex> lock(mutex_);
  exiting_ = true;
  idle_.wait(lock, [this] { return running_ == 0; });
  for (std::unique_ptr<rocksdb::DB>* opened : opened_) opened->reset();
}

bool Environment::BeginRun() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (exiting_) return false;
  running_++;
  return true;
}

void Environment::EndRun(std::unique_ptr<rocksdb::DB>* opened) {
  const std::lock_guard<std::mutex> lock(mutex_);
  running_--;
  if (opened != nullptr && *opened != nullptr) opened_.insert(opened);
  idle_.notify_all();
}

void Environment::TakeOver(std::unique_ptr<rocksdb::DB>* opened) {
  const std::lock_guard<std::mutex> lock(mutex_);
  opened_.erase(opened);
}

Handle::Handle(std::shared_ptr<Environment> environment, std::unique_ptr<rocksdb::DB> db)
    : environment_(std::move(environment)), db_(std::move(db)) {
  hooked_ = napi_add_env_cleanup_hook(environment_->env(), OnEnvironmentEnd, this) == napi_ok;
  environment_->Add(this);
}

Handle::~Handle() {
  environment_->Remove(this);
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

void Handle::Attach(Attachment* attachment) {
  const std::lock_guard<std::mutex> lock(attachments_mutex_);
  attachments_.insert(attachment);
}

void Handle::Remove(Attachment* attachment) {
  const std::lock_guard<std::mutex> lock(attachments_mutex_);
  attachments_.erase(attachment);
  attachment->Detach();
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
  {
    const std::lock_guard<std::mutex> lock(attachments_mutex_);
    for (Attachment* attachment : attachments_) attachment->Detach();
  }
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
    napi_remove_env_cleanup_hook(environment_->env(), OnEnvironmentEnd, this);
  }
}

bool Handle::BeginRun() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (abandoned_) return false;
  running_++;
  return true;
}

void Handle::EndRun() {
  const std::lock_guard<std::mutex> lock(mutex_);
  running_--;
  idle_.notify_all();
}

void Handle::Abandon() {
  state_ = State::kClosed;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    abandoned_ = true;
    idle_.wait(lock, [this] { return running_ == 0; });
  }
  Destroy().PermitUncheckedError();
}

void Handle::OnEnvironmentEnd(void* self) {
  auto* handle = static_cast<Handle*>(self);
  handle->hooked_ = false;
  handle->state_ = State::kClosed;
  handle->stopping.store(true);
  handle->Destroy().PermitUncheckedError();
}

}  // namespace cairn
