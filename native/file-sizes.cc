// Sizes of many files in one go: a look at each by itself costs the event loop more than the look.
#include <sys/stat.h>

#include <cmath>
#include <string>
#include <vector>

#include "operations.h"

namespace cairn {
namespace {

constexpr double kDirectory = -1;

double SizeOf(const char* path) {
  struct stat stats;
  if (lstat(path, &stats) != 0) return std::nan("");
  if (S_ISDIR(stats.st_mode)) return kDirectory;
  return S_ISREG(stats.st_mode) ? static_cast<double>(stats.st_size) : std::nan("");
}

class FileSizesWorker : public Worker {
 public:
  explicit FileSizesWorker(std::string paths) : Worker(nullptr), paths_(std::move(paths)) {}

 protected:
  rocksdb::Status Execute() override {
    for (size_t at = 0; at < paths_.size(); at += std::char_traits<char>::length(paths_.data() + at) + 1) {
      sizes_.push_back(SizeOf(paths_.data() + at));
    }
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Float64Array sizes = Napi::Float64Array::New(env, sizes_.size());
    for (size_t i = 0; i < sizes_.size(); i++) sizes[i] = sizes_[i];
    return sizes;
  }

 private:
  const std::string paths_;
  std::vector<double> sizes_;
};

}  // namespace

Napi::Value FileSizes(const Napi::CallbackInfo& info) {
  const rocksdb::Slice paths = BytesOf(info[0]);
  return Worker::Queue(info.Env(), std::make_unique<FileSizesWorker>(paths.ToString()));
}

}  // namespace cairn
