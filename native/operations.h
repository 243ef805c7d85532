// The operations of the pool, one function each: they queue a worker and return its promise.
#pragma once

#include <napi.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "worker.h"

namespace cairn {

// An operation that is one call into RocksDB and has nothing to return.
class CallWorker : public Worker {
 public:
  using Call = std::function<rocksdb::Status(rocksdb::DB*)>;
  static Napi::Value Queue(Napi::Env env, const std::shared_ptr<Handle>& handle, Call call) {
    return Worker::Queue(env, std::unique_ptr<Worker>(new CallWorker(handle, std::move(call))));
  }

 protected:
  rocksdb::Status Execute() override { return call_(db()); }

 private:
  CallWorker(const std::shared_ptr<Handle>& handle, Call call) : Worker(handle), call_(std::move(call)) {}
  Call call_;
};

// The bytes of a Buffer, valid while the JavaScript value lives.
inline rocksdb::Slice BytesOf(const Napi::Value& value) {
  void* data = nullptr;
  size_t size = 0;
  if (!value.IsBuffer() || napi_get_buffer_info(value.Env(), value, &data, &size) != napi_ok) return rocksdb::Slice();
  // An empty Buffer may have no address; RocksDB asserts on null data in places.
  return size == 0 ? rocksdb::Slice("", 0) : rocksdb::Slice(static_cast<const char*>(data), size);
}

// Numbers made in the pool, as the typed array that Array is. In an environment that is ending there is none, nor memory to write to.
template <typename Array, typename Numbers>
Array ToTypedArray(Napi::Env env, const Numbers& numbers) {
  Array array = Array::New(env, numbers.size());
  if (!array.IsEmpty()) std::copy(numbers.begin(), numbers.end(), array.Data());
  return array;
}

// Below a root: its path, and "device-inode" of the directory that it has to be, or nothing.
// file-sizes.cc: fileSizes(root, identity, keys below it, each ended by NUL): a Float64Array.
Napi::Value FileSizes(const Napi::CallbackInfo& info);

// file-reads.cc: fileReads(root, identity, keys below it, each ended by NUL, maxBytes of a file, enoughBytes of all): {lengths, versions,
// bytes}.
Napi::Value FileReads(const Napi::CallbackInfo& info);

// file-put.cc: stageFile(root, identity, name, bytes), settleFile(root, identity, name, key, ifAbsent): {errno, call}.
Napi::Value StageFile(const Napi::CallbackInfo& info);
Napi::Value SettleFile(const Napi::CallbackInfo& info);

// file-copy-worker.cc: copyFile(source, target or null, sizeBytes, chunkBytes, control): see there.
Napi::Value QueueFileCopy(const Napi::CallbackInfo& info);

// file-list.cc: fileList(root, identity, prefix, what an earlier call has seen, or nothing): {errno, directories, names, versions, numbers,
// gone, seen unless it is the same}.
Napi::Value FileList(const Napi::CallbackInfo& info);

// socket-send.cc: sendToSockets(sockets, pieces): see there.
Napi::Value SendToSockets(const Napi::CallbackInfo& info);

// write.cc
Napi::Value QueueWrite(Napi::Env env, const std::shared_ptr<Handle>& handle, const Napi::Value& rep, uint32_t flags);

// read.cc
Napi::Value QueueGet(Napi::Env env, const std::shared_ptr<Handle>& handle, rocksdb::Slice key, uint32_t snapshot);
// enough_bytes: of values, after which the other keys are left out; 0: all are read.
Napi::Value QueueMultiGet(Napi::Env env, const std::shared_ptr<Handle>& handle, const Napi::Array& keys,
                          uint64_t enough_bytes);

// live-files.cc
Napi::Value QueueLiveFiles(Napi::Env env, const std::shared_ptr<Handle>& handle);
Napi::Value QueueTableProperties(Napi::Env env, const std::shared_ptr<Handle>& handle);
Napi::Value QueueVerifyChecksums(Napi::Env env, const std::shared_ptr<Handle>& handle);
Napi::Value QueueCheckpoint(Napi::Env env, const std::shared_ptr<Handle>& handle, std::string path);

// replay.cc
Napi::Value QueueReplay(const std::shared_ptr<Handle>& handle, const Napi::CallbackInfo& info);
// verifyRecords(bytes, from, to, timeline, digest, sequence, stopSequence, stopTimeUs)
Napi::Value VerifyRecords(const Napi::CallbackInfo& info);

// log-files.cc
Napi::Value QueueUnlinkArchivedLog(Napi::Env env, const std::shared_ptr<Handle>& handle, std::string name);

}  // namespace cairn
