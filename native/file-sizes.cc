// Sizes of many files in one go: a look at each by itself costs the event loop more than the look.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "operations.h"

namespace cairn {
namespace {

#ifdef O_PATH
constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#else
constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#endif

// Looks at files below one directory, from the directory that they lie in: a look by its whole path takes twice as long. Links are
// followed neither in the place of a file nor of a directory on the way.
class Looker {
 public:
  explicit Looker(const std::string& root) : root_(open(root.c_str(), kDirectory)) {}
  ~Looker() {
    Leave();
    if (root_ >= 0) close(root_);
  }
  Looker(const Looker&) = delete;
  Looker& operator=(const Looker&) = delete;

  // Fast where keys of one directory follow each other.
  double SizeOf(std::string_view key) {
    const size_t slash = key.rfind('/');
    Enter(slash == std::string_view::npos ? std::string_view() : key.substr(0, slash));
    struct stat stats;
    const char* name = key.data() + (slash == std::string_view::npos ? 0 : slash + 1);
    if (directory_ < 0 || fstatat(directory_, name, &stats, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(stats.st_mode)) {
      return std::nan("");
    }
    return static_cast<double>(stats.st_size);
  }

 private:
  // "a/b": from the root into a, from there into b.
  void Enter(std::string_view parent) {
    if (entered_ && parent == parent_) return;
    Leave();
    entered_ = true;
    parent_ = parent;
    directory_ = root_;
    for (size_t at = 0; directory_ >= 0 && at < parent.size();) {
      const size_t end = std::min(parent.find('/', at), parent.size());
      const int next = openat(directory_, std::string(parent.substr(at, end - at)).c_str(), kDirectory);
      if (directory_ != root_) close(directory_);
      directory_ = next;
      at = end + 1;
    }
  }

  void Leave() {
    if (directory_ >= 0 && directory_ != root_) close(directory_);
    directory_ = -1;
  }

  const int root_;
  bool entered_ = false;
  std::string parent_;
  int directory_ = -1;
};

class FileSizesWorker : public Worker {
 public:
  FileSizesWorker(std::string root, std::string keys)
      : Worker(nullptr), root_(std::move(root)), keys_(std::move(keys)) {}

 protected:
  rocksdb::Status Execute() override {
    std::vector<std::string_view> keys;
    for (size_t at = 0; at < keys_.size(); at += keys.back().size() + 1) keys.emplace_back(keys_.data() + at);
    std::vector<size_t> order(keys.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
    sizes_.resize(keys.size());
    Looker looker(root_);
    for (const size_t nth : order) sizes_[nth] = looker.SizeOf(keys[nth]);
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Float64Array sizes = Napi::Float64Array::New(env, sizes_.size());
    for (size_t i = 0; i < sizes_.size(); i++) sizes[i] = sizes_[i];
    return sizes;
  }

 private:
  const std::string root_;
  const std::string keys_;
  std::vector<double> sizes_;
};

}  // namespace

Napi::Value FileSizes(const Napi::CallbackInfo& info) {
  std::string root = info[0].As<Napi::String>().Utf8Value();
  return Worker::Queue(info.Env(),
                       std::make_unique<FileSizesWorker>(std::move(root), info[1].As<Napi::String>().Utf8Value()));
}

}  // namespace cairn
