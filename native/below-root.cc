#include "below-root.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <numeric>

namespace cairn {
namespace {

#ifdef O_PATH
constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#else
constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#endif

// Unsigned, as local-store.ts has it.
std::string IdentityOf(const struct stat& stats) {
  return std::to_string(static_cast<uint64_t>(stats.st_dev)) + "-" + std::to_string(static_cast<uint64_t>(stats.st_ino));
}

}  // namespace

BelowRoot::BelowRoot(const Root& root) : root_(Open(root, &root_error_)) {}

BelowRoot::~BelowRoot() {
  Leave();
  if (root_ >= 0) close(root_);
}

// One that is known by its identity may have been moved, and a link left in its place.
int BelowRoot::Open(const Root& root, int* error) {
  const int number = open(root.path.c_str(), root.identity.empty() ? kDirectory : kDirectory & ~O_NOFOLLOW);
  if (number < 0) *error = errno == ENOENT || errno == ENOTDIR ? ESTALE : errno;
  if (number < 0 || root.identity.empty()) return number;
  struct stat stats;
  if (fstat(number, &stats) == 0 && root.identity == IdentityOf(stats)) {
    return number;
  }
  *error = ESTALE;
  close(number);
  return -1;
}

// By its name in the directory above: the right to read it is enough then, "." in it would take that to search it.
int BelowRoot::OpenDirectory(std::string_view key) {
  constexpr int kReadable = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const size_t slash = key.rfind('/');
  const std::string name(key.substr(0, slash == std::string_view::npos ? 0 : slash));
  const Place place = name.empty() ? Place{root_, "."} : Find(name);
  if (place.directory < 0) {
    errno = name.empty() ? root_error_ : error_;
    return -1;
  }
  return openat(place.directory, place.name, kReadable);
}

BelowRoot::Place BelowRoot::Find(std::string_view key) {
  const size_t slash = key.rfind('/');
  Enter(slash == std::string_view::npos ? std::string_view() : key.substr(0, slash));
  return {directory_, key.data() + (slash == std::string_view::npos ? 0 : slash + 1)};
}

// "a/b": from the root into a, from there into b.
void BelowRoot::Enter(std::string_view parent) {
  if (entered_ && parent == parent_) return;
  Leave();
  entered_ = true;
  parent_ = parent;
  directory_ = root_;
  error_ = root_error_;
  for (size_t at = 0; directory_ >= 0 && at < parent.size();) {
    const size_t end = std::min(parent.find('/', at), parent.size());
    const int next = openat(directory_, std::string(parent.substr(at, end - at)).c_str(), kDirectory);
    if (next < 0) error_ = errno;
    if (directory_ != root_) close(directory_);
    directory_ = next;
    at = end + 1;
  }
}

void BelowRoot::Leave() {
  if (directory_ >= 0 && directory_ != root_) close(directory_);
  directory_ = -1;
}

Root RootOf(const Napi::CallbackInfo& info) {
  return {info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::String>().Utf8Value()};
}

std::vector<std::string_view> SplitKeys(const std::string& text) {
  std::vector<std::string_view> keys;
  for (size_t at = 0; at < text.size(); at += keys.back().size() + 1) keys.emplace_back(text.data() + at);
  return keys;
}

std::vector<size_t> ByDirectory(const std::vector<std::string_view>& keys) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  return order;
}

}  // namespace cairn
