// The addon's entry: binds RocksDB and carries bytes. Everything that decides is TypeScript (src/engine).
// Context-aware: all state hangs on the environment, so it loads in any number of worker threads.
#include <napi.h>
#include <rocksdb/version.h>

#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "checksum.h"
#include "commits.h"
#include "database.h"
#include "handle.h"
#include "iterator.h"
#include "lock.h"
#include "operations.h"
#include "wal.h"

namespace {

// exiting(): closes every database of this environment, without completing requests; for the process 'exit' event.
Napi::Value Exiting(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<cairn::AddonData>()->environment->Exit();
  return info.Env().Undefined();
}

// releaseMemory(buffer): what it has alone is given back now, not when somebody collects garbage. It is empty afterwards.
Napi::Value ReleaseMemory(const Napi::CallbackInfo& info) {
  if (info[0].IsBuffer()) {
    Napi::ArrayBuffer memory = info[0].As<Napi::Uint8Array>().ArrayBuffer();
    if (memory.ByteLength() == info[0].As<Napi::Uint8Array>().ByteLength()) memory.Detach();
  }
  return info.Env().Undefined();
}

// Blocks of a megabyte and more go back to the system when they are freed. glibc otherwise keeps them after a while, in an arena for each
// thread: replays, whose memtables come and go, left up to a hundred megabytes.
void ReturnLargeBlocks() {
#ifdef __GLIBC__
  constexpr int kMebibyte = 1 << 20;
  // Whoever set something of that knows why.
  for (const char* name : {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"}) {
    if (getenv(name) != nullptr) return;
  }
  mallopt(M_MMAP_THRESHOLD, kMebibyte);
  mallopt(M_TRIM_THRESHOLD, 2 * kMebibyte);
#endif
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  ReturnLargeBlocks();
  auto* data = new cairn::AddonData();
  data->environment = std::make_shared<cairn::Environment>(env);
  data->database = Napi::Persistent(cairn::Database::Define(env));
  data->iterator = Napi::Persistent(cairn::IteratorObject::Define(env));
  data->wal_reader = Napi::Persistent(cairn::WalReaderObject::Define(env));
  data->commit_reader = Napi::Persistent(cairn::CommitReaderObject::Define(env));
  env.SetInstanceData(data);
  exports.Set("open", Napi::Function::New(env, cairn::Database::Open));
  exports.Set("fileSizes", Napi::Function::New(env, cairn::FileSizes));
  exports.Set("fileReads", Napi::Function::New(env, cairn::FileReads));
  exports.Set("stageFile", Napi::Function::New(env, cairn::StageFile));
  exports.Set("settleFile", Napi::Function::New(env, cairn::SettleFile));
  exports.Set("fileList", Napi::Function::New(env, cairn::FileList));
  exports.Set("copyFile", Napi::Function::New(env, cairn::QueueFileCopy));
  exports.Set("releaseMemory", Napi::Function::New(env, ReleaseMemory));
  exports.Set("sendToSockets", Napi::Function::New(env, cairn::SendToSockets));
  exports.Set("lockFile", Napi::Function::New(env, cairn::LockFile));
  exports.Set("unlockFile", Napi::Function::New(env, cairn::UnlockFile));
  exports.Set("sha256", Napi::Function::New(env, cairn::HashBytes));
  exports.Set("crc32c", Napi::Function::New(env, cairn::Crc32c));
  exports.Set("verifyRecords", Napi::Function::New(env, cairn::VerifyRecords));
  exports.Set("exiting", Napi::Function::New(env, Exiting));
  exports.Set("rocksdbVersion", std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR) + "." +
                                    std::to_string(ROCKSDB_PATCH));
  return exports;
}

}  // namespace

NODE_API_MODULE(cairn, Initialize)
