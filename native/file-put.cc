// A small file made durable below a directory, in two calls: each step by itself would cost the event loop a way to the pool and back.
//
//   stage    a new file right in the directory, written and synced
//   settle   it gets its name, by rename (in the place of what has that name) or by a link (only where nothing has), and its directory
//            is synced
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "below-root.h"
#include "descriptor.h"
#include "operations.h"

namespace cairn {
namespace {

constexpr mode_t kFileMode = 0600;

class FileStepWorker : public Worker {
 protected:
  explicit FileStepWorker(Root root) : Worker(nullptr), root_(std::move(root)) {}

  // false: what `Failed` said.
  virtual bool Run(BelowRoot* below) = 0;

  rocksdb::Status Execute() override {
    BelowRoot below(root_);
    if (below.root() < 0) {
      errno = below.root_error();
      (void)Failed("open");
    } else {
      (void)Run(&below);
    }
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("errno", Napi::Number::New(env, error_));
    result.Set("call", Napi::String::New(env, call_));
    return result;
  }

  // Keeps errno.
  bool Failed(const char* call) {
    error_ = errno;
    call_ = call;
    return false;
  }

 private:
  const Root root_;
  int error_ = 0;
  const char* call_ = "";
};

// The Buffer is referenced, not copied, until the promise settles.
class StageWorker : public FileStepWorker {
 public:
  explicit StageWorker(const Napi::CallbackInfo& info)
      : FileStepWorker(RootOf(info)), name_(info[2].As<Napi::String>().Utf8Value()), bytes_(BytesOf(info[3])), env_(info.Env()) {
    napi_create_reference(env_, info[3], 1, &buffer_);
  }

 protected:
  void Finished() override { napi_delete_reference(env_, buffer_); }

  bool Run(BelowRoot* below) override {
    const int file = Uninterrupted([&] {
      return openat(below->root(), name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode);
    });
    if (file < 0) return Failed("open");
    const bool written = Write(file);
    // Some file systems tell of a write that failed only then.
    const bool closed = close(file) == 0;
    return written && (closed || Failed("close"));
  }

 private:
  bool Write(int file) {
    for (size_t at = 0; at < bytes_.size();) {
      const ssize_t more = Uninterrupted([&] { return write(file, bytes_.data() + at, bytes_.size() - at); });
      if (more == 0) errno = EIO;
      if (more <= 0) return Failed("write");
      at += static_cast<size_t>(more);
    }
    return SyncWhole(file) == 0 || Failed("fsync");
  }

  const std::string name_;
  const rocksdb::Slice bytes_;
  const napi_env env_;
  napi_ref buffer_ = nullptr;
};

class SettleWorker : public FileStepWorker {
 public:
  explicit SettleWorker(const Napi::CallbackInfo& info)
      : FileStepWorker(RootOf(info)),
        name_(info[2].As<Napi::String>().Utf8Value()),
        key_(info[3].As<Napi::String>().Utf8Value()),
        if_absent_(info[4].As<Napi::Boolean>().Value()) {}

 protected:
  bool Run(BelowRoot* below) override {
    const int directory = below->OpenDirectory(key_);
    if (directory < 0) return Failed("open");
    const bool settled = Settle(below->root(), directory, key_.c_str() + key_.rfind('/') + 1);
    close(directory);
    return settled;
  }

 private:
  bool Settle(int root, int directory, const char* name) {
    if (if_absent_) {
      if (linkat(root, name_.c_str(), directory, name, 0) != 0) return Failed("link");
      if (unlinkat(root, name_.c_str(), 0) != 0 && errno != ENOENT) return Failed("unlink");
    } else if (renameat(root, name_.c_str(), directory, name) != 0) {
      return Failed("rename");
    }
    return SyncWhole(directory) == 0 || Failed("fsync");
  }

  const std::string name_;
  const std::string key_;
  const bool if_absent_;
};

}  // namespace

Napi::Value StageFile(const Napi::CallbackInfo& info) {
  return Worker::Queue(info.Env(), std::make_unique<StageWorker>(info));
}

Napi::Value SettleFile(const Napi::CallbackInfo& info) {
  return Worker::Queue(info.Env(), std::make_unique<SettleWorker>(info));
}

}  // namespace cairn
