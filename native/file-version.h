// What tells one state of a file from another.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace cairn {

struct FileVersion {
  uint64_t inode;
  int64_t size;
  int64_t modified_ns;
  // Nobody can set it: a copy over the file that keeps the other time changes it all the same.
  int64_t changed_ns;
};

inline int64_t NsOf(const timespec& time) { return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec; }

inline FileVersion VersionOf(const struct stat& stats) {
#ifdef __APPLE__
  const timespec& modified = stats.st_mtimespec;
  const timespec& changed = stats.st_ctimespec;
#else
  const timespec& modified = stats.st_mtim;
  const timespec& changed = stats.st_ctim;
#endif
  return {static_cast<uint64_t>(stats.st_ino), static_cast<int64_t>(stats.st_size), NsOf(modified), NsOf(changed)};
}

inline std::string TextOf(const FileVersion& version) {
  return std::to_string(version.inode) + "-" + std::to_string(version.size) + "-" + std::to_string(version.modified_ns) +
         "-" + std::to_string(version.changed_ns);
}

}  // namespace cairn
