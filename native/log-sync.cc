// Syncs the logs that RocksDB is done with, at the beginning of each flush.
#include "log-sync.h"

#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

namespace cairn {
namespace {

bool IsLog(const std::string& name) {
  const size_t dot = name.size() < 5 ? std::string::npos : name.size() - 4;
  return dot != std::string::npos && name.compare(dot, 4, ".log") == 0 &&
         name.find_first_not_of("0123456789") == dot;
}

/** 0, or what kept it from being synced. A log that is gone was archived by an earlier flush, which had synced it. */
int Sync(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno == ENOENT ? 0 : errno;
  const int error = fsync(file) == 0 ? 0 : errno;
  close(file);
  return error;
}

class LogSync : public rocksdb::EventListener {
 public:
  // On a background thread, without RocksDB's mutex.
  void OnFlushBegin(rocksdb::DB* db, const rocksdb::FlushJobInfo&) override {
    std::vector<std::string> names;
    const rocksdb::Status listed = db->GetEnv()->GetChildren(db->GetName(), &names);
    if (!listed.ok()) return Tell(db, "the logs", listed.ToString());
    names.erase(std::remove_if(names.begin(), names.end(), [](const std::string& name) { return !IsLog(name); }),
                names.end());
    // Numbers have leading zeros up to six digits, so a longer name is a later log. The last one is being written: it is no
    // memtable's past yet.
    std::sort(names.begin(), names.end(), [](const std::string& one, const std::string& other) {
      return one.size() != other.size() ? one.size() < other.size() : one < other;
    });
    if (!names.empty()) names.pop_back();
    for (const std::string& name : names) {
      const int error = Sync(db->GetName() + "/" + name);
      if (error != 0) Tell(db, "the closed log " + name, std::strerror(error));
    }
  }

 private:
  // A flush cannot be refused here. What a power cut would then take shows as a gap, which closes the recovery window.
  static void Tell(rocksdb::DB* db, const std::string& what, const std::string& why) {
    rocksdb::Error(db->GetDBOptions().info_log, "%s could not be synced: %s", what.c_str(), why.c_str());
  }
};

}  // namespace

std::shared_ptr<rocksdb::EventListener> MakeLogSync() { return std::make_shared<LogSync>(); }

}  // namespace cairn
