// Commits out of the WAL, framed as the records of a segment (records.h), in the pool and in bulk.
//
// In a batch of the log a commit begins at its mark, a piece of log data whose shape the caller gives, and reaches to
// the next one. What comes ahead of the first mark is somebody else's write: one commit, at the time of the one before.
// A mark with nothing behind it takes no sequence and is no commit.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "records.h"
#include "wal.h"

namespace cairn {

// Log data of `bytes` bytes that begins with `prefix`; time and timeline in it are big endian.
struct MarkShape {
  std::string prefix;
  size_t bytes = 0;
  size_t time_offset = 0;
  size_t timeline_offset = 0;
};

struct Commit {
  uint64_t sequence;
  uint64_t time_us;
  uint32_t timeline;  // 0: it has no mark
  uint32_t count;
  rocksdb::Slice body;
  uint64_t last_sequence() const { return sequence + count - 1; }
};

// One batch, cut at its marks. `unmarked_time_us`: of what comes ahead of the first one.
rocksdb::Status SplitCommits(const rocksdb::BatchResult& batch, const MarkShape& shape, uint64_t unmarked_time_us,
                             std::vector<Commit>* commits);

// For every 64 KiB of a records area, the first record that starts there.
struct IndexEntry {
  uint64_t sequence;
  uint64_t time_us;
  uint64_t offset;
  Digest digest;  // before the record
};

struct FramedCommits {
  std::string records;
  uint64_t count = 0;
  uint64_t sequence_from = 0;
  uint64_t sequence_to = 0;
  uint64_t first_time_us = 0;
  uint64_t last_time_us = 0;
  Digest digest_from{};
  Digest digest_to{};
  std::vector<IndexEntry> index;
};

class CommitTail {
 public:
  CommitTail(std::shared_ptr<Handle> handle, uint64_t sequence_from, uint32_t timeline, const Digest& digest,
             uint64_t last_time_us, MarkShape shape);

  // Takes whole commits up to about max_bytes (one always) that end at or before up_to; none at the tail. `continues`:
  // they go behind those of the last call in one segment, so offsets and the index go on. In the pool.
  rocksdb::Status Frame(size_t max_bytes, uint64_t up_to, bool continues, FramedCommits* framed);

  WalTail& wal() { return *wal_; }

 private:
  // Points *commit at the first commit that was not taken; null at the tail.
  rocksdb::Status Peek(const Commit** commit);
  rocksdb::Status Take(const Commit& commit, FramedCommits* framed);

  std::unique_ptr<WalTail> wal_;
  MarkShape shape_;
  uint32_t timeline_;
  DigestChain chain_;
  uint64_t sequence_;  // the last one taken
  uint64_t last_time_us_;

  rocksdb::BatchResult batch_;  // holds the bodies of commits_
  std::vector<Commit> commits_;
  size_t taken_ = 0;        // of commits_
  rocksdb::Status broken_;  // a batch that could not be split: every later call fails as well

  uint64_t segment_bytes_ = 0;  // framed so far in the segment
  uint64_t next_window_ = 0;    // the first record that starts at or after it is in the index
};

class CommitReaderObject : public Napi::ObjectWrap<CommitReaderObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, const std::shared_ptr<Handle>& handle, const Napi::CallbackInfo& info);
  explicit CommitReaderObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Next(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<CommitTail> tail_;
};

Napi::Value QueueReadCommit(const std::shared_ptr<Handle>& handle, const Napi::CallbackInfo& info);

// A Buffer of 32 bytes, already checked by src/engine.
Digest DigestOf(const Napi::Value& value);
Napi::Value DigestBuffer(Napi::Env env, const Digest& digest);

}  // namespace cairn
