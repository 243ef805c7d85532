// Taking archived logs away. RocksDB was told to purge none (docs/engine.md); which may go is decided in TypeScript.
#include <rocksdb/env.h>
#include <rocksdb/transaction_log.h>

#include <shared_mutex>
#include <vector>

#include "operations.h"

namespace cairn {
namespace {

// "000012.log" and nothing else: the name becomes a path.
bool LogNumber(const std::string& name, uint64_t* number) {
  const size_t digits = name.find('.');
  if (digits == std::string::npos || digits == 0 || digits > 18 || name.substr(digits) != ".log") return false;
  *number = 0;
  for (size_t i = 0; i < digits; i++) {
    if (name[i] < '0' || name[i] > '9') return false;
    *number = *number * 10 + static_cast<uint64_t>(name[i] - '0');
  }
  return true;
}

// Oldest first, or the commits that are left would have a hole.
rocksdb::Status Unlink(rocksdb::DB* db, const std::string& name) {
  uint64_t wanted = 0;
  if (!LogNumber(name, &wanted)) return rocksdb::Status::InvalidArgument("no name of a log", name);
  const std::string directory = db->GetName() + "/archive";
  std::vector<std::string> children;
  rocksdb::Status status = db->GetEnv()->GetChildren(directory, &children);
  if (!status.ok()) return status;
  for (const std::string& child : children) {
    uint64_t number = 0;
    if (LogNumber(child, &number) && number < wanted) {
      return rocksdb::Status::InvalidArgument("an older archived log is still there", child);
    }
  }
  return db->GetEnv()->DeleteFile(directory + "/" + name);
}

}  // namespace

Napi::Value QueueUnlinkArchivedLog(Napi::Env env, const std::shared_ptr<Handle>& handle, std::string name) {
  Handle* open = handle.get();  // kept alive by the worker
  return CallWorker::Queue(env, handle, [open, name = std::move(name)](rocksdb::DB* db) {
    const std::unique_lock<std::shared_mutex> alone(open->log_files);
    return Unlink(db, name);
  });
}

}  // namespace cairn
