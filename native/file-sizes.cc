// Sizes of many files in one go: a look at each by itself costs the event loop more than the look.
#include <fcntl.h>
#include <sys/stat.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "below-root.h"
#include "operations.h"

namespace cairn {
namespace {

double SizeOf(const BelowRoot::Place& place) {
  struct stat stats;
  const bool is_file = place.directory >= 0 &&
                       fstatat(place.directory, place.name, &stats, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(stats.st_mode);
  return is_file ? static_cast<double>(stats.st_size) : std::nan("");
}

class FileSizesWorker : public Worker {
 public:
  FileSizesWorker(Root root, std::string keys)
      : Worker(nullptr), root_(std::move(root)), keys_(std::move(keys)) {}

 protected:
  rocksdb::Status Execute() override {
    const std::vector<std::string_view> keys = SplitKeys(keys_);
    sizes_.resize(keys.size());
    BelowRoot files(root_);
    for (const size_t nth : ByDirectory(keys)) sizes_[nth] = SizeOf(files.Find(keys[nth]));
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    return ToTypedArray<Napi::Float64Array>(env, sizes_);
  }

 private:
  const Root root_;
  const std::string keys_;
  std::vector<double> sizes_;
};

}  // namespace

Napi::Value FileSizes(const Napi::CallbackInfo& info) {
  return Worker::Queue(info.Env(),
                       std::make_unique<FileSizesWorker>(RootOf(info), info[2].As<Napi::String>().Utf8Value()));
}

}  // namespace cairn
