// Copying or hashing one file in one pass over its bytes. POSIX alone: no JavaScript, no RocksDB.
//
// A chunk is read, hashed while it lies in the processor's cache, and written; what was written is on its way to the disk while the
// next chunks are read, so that the last sync finds little left to do. The chunk is the memory that a copy costs.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace cairn {

struct FileCopyOrder {
  std::string source;
  // A file that must not exist; empty: only hash.
  std::string target;
  // Copy this many bytes from the start; below 0: the whole file.
  int64_t size_bytes;
  size_t chunk_bytes;
};

// What crosses threads while a copy runs.
struct FileCopyControl {
  std::atomic<int64_t>* cancel;  // not 0: stop between two chunks
  std::atomic<int64_t>* copied;  // bytes so far
  std::atomic<int64_t>* rest;    // percent of the time of its work for which it rests after each chunk
  const std::atomic<bool>* stopping;
};

struct FileCopyOutcome {
  enum class Kind { kDone, kSystem, kShort, kNotAFile, kCancelled };
  enum class Side { kNone, kSource, kTarget };

  Kind kind = Kind::kDone;
  Side side = Side::kNone;
  int error = 0;  // errno, or 0
  const char* call = "";  // the system call that failed
  int64_t bytes = 0;
  std::string sha256;  // 32 bytes, when done
};

// Blocks until the target's bytes are synced (its directory is the caller's to sync). Otherwise there is no target, unless one existed
// before, which is an error and stays as it was.
FileCopyOutcome CopyFile(const FileCopyOrder& order, const FileCopyControl& control);

}  // namespace cairn
