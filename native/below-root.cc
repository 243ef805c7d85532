#include "below-root.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

namespace cairn {
namespace {

#ifdef O_PATH
constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#else
constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#endif

}  // namespace

BelowRoot::BelowRoot(const std::string& root) : root_(open(root.c_str(), kDirectory)) {}

BelowRoot::~BelowRoot() {
  Leave();
  if (root_ >= 0) close(root_);
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
  for (size_t at = 0; directory_ >= 0 && at < parent.size();) {
    const size_t end = std::min(parent.find('/', at), parent.size());
    const int next = openat(directory_, std::string(parent.substr(at, end - at)).c_str(), kDirectory);
    if (directory_ != root_) close(directory_);
    directory_ = next;
    at = end + 1;
  }
}

void BelowRoot::Leave() {
  if (directory_ >= 0 && directory_ != root_) close(directory_);
  directory_ = -1;
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
