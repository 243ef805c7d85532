// A directory with what there is to know of each file in it, in one call: the event loop's own way takes some thirty microseconds a file.
//
// What is seen is noted as bytes. A later call that is given them answers only what is not as it was then: of ten thousand files
// nobody has to make anything again because of one.
//
//   for each entry   'd' or 'f' │ name │ NUL │ of a file: inode, size, ns of the last change of content and of any kind, 8 bytes each
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "below-root.h"
#include "file-version.h"
#include "operations.h"

namespace cairn {
namespace {

class FileListWorker : public Worker {
 public:
  FileListWorker(Root root, std::string prefix, std::string known)
      : Worker(nullptr), root_(std::move(root)), prefix_(std::move(prefix)), known_(std::move(known)) {}

 protected:
  rocksdb::Status Execute() override {
    BelowRoot below(root_);
    const int number = below.OpenDirectory(prefix_);
    DIR* directory = number < 0 ? nullptr : fdopendir(number);
    if (directory == nullptr) {
      error_ = errno;
      if (number >= 0) close(number);
      Compare();
      return rocksdb::Status::OK();
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> owner(directory, closedir);
    seen_.reserve(known_.size());
    for (errno = 0; const dirent* entry = readdir(directory); errno = 0) Look(number, *entry);
    error_ = errno;
    Compare();
    return rocksdb::Status::OK();
  }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("errno", Napi::Number::New(env, error_));
    result.Set("directories", Napi::String::New(env, directories_));
    result.Set("names", Napi::String::New(env, names_));
    result.Set("versions", Napi::String::New(env, versions_));
    result.Set("gone", Napi::String::New(env, gone_));
    result.Set("numbers", ToTypedArray<Napi::Float64Array>(env, numbers_));
    if (!same_) result.Set("seen", ToBuffer(env, std::move(seen_)));
    return result;
  }

 private:
  void Look(int directory, const dirent& entry) {
    const char* name = entry.d_name;
    // Hidden ones are locks and unfinished files.
    if (name[0] == '.') return;
    struct stat stats = {};
    if (fstatat(directory, name, &stats, AT_SYMLINK_NOFOLLOW) != 0) {
      // What went meanwhile is not there. What cannot be looked at is, and who reads it is told why.
      if (errno == ENOENT) return;
      stats.st_mode = entry.d_type == DT_UNKNOWN ? S_IFREG : DTTOIF(entry.d_type);
    }
    const bool is_file = S_ISREG(stats.st_mode);
    if (!is_file && !S_ISDIR(stats.st_mode)) return;
    seen_.push_back(is_file ? 'f' : 'd');
    seen_.append(name, strlen(name) + 1);
    if (!is_file) return;
    const FileVersion version = VersionOf(stats);
    seen_.append(reinterpret_cast<const char*>(&version), sizeof version);
  }

  // Entries mostly keep their order: what lies between the first and the last that differ is compared by name.
  void Compare() {
    same_ = seen_ == known_ && !known_.empty();
    if (same_) return;
    const std::vector<std::string_view> before = Entries(known_);
    const std::vector<std::string_view> now = Entries(seen_);
    const size_t most = std::min(before.size(), now.size());
    size_t head = 0;
    while (head < most && before[head] == now[head]) head++;
    size_t tail = 0;
    while (tail < most - head && before[before.size() - 1 - tail] == now[now.size() - 1 - tail]) tail++;
    std::unordered_map<std::string_view, std::string_view> left;
    for (size_t i = head; i < before.size() - tail; i++) left.emplace(KindAndName(before[i]), before[i]);
    for (size_t i = head; i < now.size() - tail; i++) {
      const auto known = left.find(KindAndName(now[i]));
      const bool is_same = known != left.end() && known->second == now[i];
      if (known != left.end()) left.erase(known);
      if (!is_same) Describe(now[i]);
    }
    // Of a file that was removed and made again during the earlier listing there may be two entries: it is there all the same.
    for (size_t i = 0; !left.empty() && i < now.size(); i++) {
      if (i < head || i >= now.size() - tail) left.erase(KindAndName(now[i]));
    }
    for (const auto& [name, entry] : left) {
      if (entry[0] == 'f') gone_.append(name.substr(1)).push_back('\0');
    }
  }

  static std::vector<std::string_view> Entries(const std::string& seen) {
    std::vector<std::string_view> entries;
    for (size_t at = 0; at < seen.size(); at += entries.back().size()) {
      const size_t name_end = seen.find('\0', at);
      const size_t end = name_end + 1 + (seen[at] == 'f' ? sizeof(FileVersion) : 0);
      if (name_end == std::string::npos || end > seen.size()) break;  // not from here
      entries.emplace_back(seen.data() + at, end - at);
    }
    return entries;
  }

  static std::string_view KindAndName(std::string_view entry) { return entry.substr(0, entry.find('\0')); }

  void Describe(std::string_view entry) {
    const std::string_view name = KindAndName(entry).substr(1);
    if (entry[0] == 'd') {
      directories_.append(name).push_back('\0');
      return;
    }
    FileVersion version;
    memcpy(&version, entry.data() + entry.size() - sizeof version, sizeof version);
    names_.append(name).push_back('\0');
    versions_.append(TextOf(version)).push_back('\0');
    numbers_.push_back(static_cast<double>(version.size));
    numbers_.push_back(static_cast<double>(version.modified_ns / 1000));
  }

  const Root root_;
  const std::string prefix_;
  const std::string known_;
  int error_ = 0;
  bool same_ = false;
  std::string seen_;
  std::string directories_;
  std::string gone_;
  std::string names_;
  std::string versions_;
  std::vector<double> numbers_;
};

}  // namespace

Napi::Value FileList(const Napi::CallbackInfo& info) {
  std::string prefix = info[2].As<Napi::String>().Utf8Value();
  return Worker::Queue(info.Env(), std::make_unique<FileListWorker>(RootOf(info), std::move(prefix),
                                                                    BytesOf(info[3]).ToString()));
}

}  // namespace cairn
