// Many small files whole, in one go: opened, read and closed by itself each costs the event loop a hundred times what it costs here.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "below-root.h"
#include "descriptor.h"
#include "file-version.h"
#include "operations.h"

namespace cairn {
namespace {

// What stands in the place of a length.
constexpr int32_t kUnread = -1;  // missing, no regular file, too large, or it cannot be read
constexpr off_t kMostBytes = INT32_MAX;
constexpr int32_t kLater = -2;   // not looked at: so many bytes were read before it

class FileReadsWorker : public Worker {
 public:
  FileReadsWorker(Root root, std::string keys, size_t max_bytes, size_t enough_bytes)
      : Worker(nullptr),
        root_(std::move(root)),
        keys_(std::move(keys)),
        max_bytes_(max_bytes),
        enough_bytes_(enough_bytes) {}

 protected:
  rocksdb::Status Execute() override {
    const std::vector<std::string_view> keys = SplitKeys(keys_);
    lengths_.assign(keys.size(), kLater);
    BelowRoot files(root_);
    for (size_t nth = 0; nth < keys.size() && (nth == 0 || bytes_.size() < enough_bytes_); nth++) {
      lengths_[nth] = Read(files.Find(keys[nth]));
      versions_.push_back('\0');
    }
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("lengths", ToTypedArray<Napi::Int32Array>(env, lengths_));
    result.Set("versions", Napi::String::New(env, versions_));
    result.Set("bytes", ToBuffer(env, std::move(bytes_)));
    return result;
  }

 private:
  // Not blocking: somebody may have put a pipe there, whose open waits for a writer.
  int32_t Read(const BelowRoot::Place& place) {
    if (place.directory < 0) return kUnread;
    const Descriptor file(openat(place.directory, place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    return file.number() < 0 ? kUnread : Append(file.number());
  }

  // As much as its size says; fewer where it shrinks meanwhile.
  int32_t Append(int file) {
    struct stat stats;
    if (fstat(file, &stats) != 0 || !S_ISREG(stats.st_mode) || stats.st_size > kMostBytes ||
        static_cast<size_t>(stats.st_size) > max_bytes_) {
      return kUnread;
    }
    const size_t start = bytes_.size();
    const size_t wanted = static_cast<size_t>(stats.st_size);
    bytes_.resize(start + wanted);
    size_t length = 0;
    while (length < wanted) {
      const ssize_t got = read(file, &bytes_[start + length], wanted - length);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        bytes_.resize(start);
        return kUnread;
      }
      if (got == 0) break;
      length += static_cast<size_t>(got);
    }
    bytes_.resize(start + length);
    versions_ += TextOf(VersionOf(stats));
    return static_cast<int32_t>(length);
  }

  const Root root_;
  const std::string keys_;
  const size_t max_bytes_;
  const size_t enough_bytes_;
  std::vector<int32_t> lengths_;
  // Of each that was looked at: empty where it was not read; ended by NUL.
  std::string versions_;
  std::string bytes_;
};

}  // namespace

Napi::Value FileReads(const Napi::CallbackInfo& info) {
  std::string keys = info[2].As<Napi::String>().Utf8Value();
  const size_t max_bytes = info[3].As<Napi::Number>().Uint32Value();
  const size_t enough_bytes = info[4].As<Napi::Number>().Uint32Value();
  return Worker::Queue(info.Env(),
                       std::make_unique<FileReadsWorker>(RootOf(info), std::move(keys), max_bytes, enough_bytes));
}

}  // namespace cairn
