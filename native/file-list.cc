// A directory with what there is to know of each file in it, in one call: the event loop's own way takes some thirty microseconds a file.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "operations.h"

namespace cairn {
namespace {

int64_t ModifiedNs(const struct stat& stats) {
#ifdef __APPLE__
  const timespec& modified = stats.st_mtimespec;
#else
  const timespec& modified = stats.st_mtim;
#endif
  return static_cast<int64_t>(modified.tv_sec) * 1000000000 + modified.tv_nsec;
}

class FileListWorker : public Worker {
 public:
  explicit FileListWorker(std::string path) : Worker(nullptr), path_(std::move(path)) {}

 protected:
  rocksdb::Status Execute() override {
    const int number = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR* directory = number < 0 ? nullptr : fdopendir(number);
    if (directory == nullptr) {
      error_ = errno;
      if (number >= 0) close(number);
      return rocksdb::Status::OK();
    }
    for (errno = 0; const dirent* entry = readdir(directory); errno = 0) Look(number, entry->d_name);
    error_ = errno;
    closedir(directory);
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("errno", Napi::Number::New(env, error_));
    result.Set("directories", Napi::String::New(env, directories_));
    result.Set("names", Napi::String::New(env, names_));
    result.Set("versions", Napi::String::New(env, versions_));
    Napi::Float64Array numbers = Napi::Float64Array::New(env, numbers_.size());
    for (size_t i = 0; i < numbers_.size(); i++) numbers[i] = numbers_[i];
    result.Set("numbers", numbers);
    return result;
  }

 private:
  void Look(int directory, const char* name) {
    struct stat stats;
    // Hidden ones are locks and unfinished files. What went meanwhile is not there.
    if (name[0] == '.' || fstatat(directory, name, &stats, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (S_ISDIR(stats.st_mode)) {
      directories_.append(name).push_back('\0');
    } else if (S_ISREG(stats.st_mode)) {
      const int64_t modified_ns = ModifiedNs(stats);
      names_.append(name).push_back('\0');
      versions_.append(std::to_string(stats.st_ino)).append("-").append(std::to_string(stats.st_size));
      versions_.append("-").append(std::to_string(modified_ns)).push_back('\0');
      numbers_.push_back(static_cast<double>(stats.st_size));
      numbers_.push_back(static_cast<double>(modified_ns / 1000));
    }
  }

  const std::string path_;
  int error_ = 0;
  std::string directories_;
  std::string names_;
  std::string versions_;
  std::vector<double> numbers_;
};

}  // namespace

Napi::Value FileList(const Napi::CallbackInfo& info) {
  return Worker::Queue(info.Env(), std::make_unique<FileListWorker>(info[0].As<Napi::String>().Utf8Value()));
}

}  // namespace cairn
