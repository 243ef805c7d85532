#include "commits.h"

#include <rocksdb/write_batch.h>

#include <algorithm>

#include "batch-walk.h"
#include "database.h"
#include "operations.h"
#include "worker.h"

namespace cairn {
namespace {

constexpr uint64_t kIndexWindowBytes = 64 << 10;

uint64_t ReadBigEndian(const char* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; i++) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

bool IsMark(rocksdb::Slice blob, const MarkShape& shape) {
  return blob.size() == shape.bytes && blob.starts_with(shape.prefix);
}

rocksdb::Status Malformed(const rocksdb::BatchResult& batch, const std::string& why) {
  return rocksdb::Status::Corruption("the batch at sequence " + std::to_string(batch.sequence) + " " + why);
}

// src/engine has checked that time and timeline lie within the mark.
MarkShape MarkShapeOf(const Napi::CallbackInfo& info, size_t first) {
  MarkShape shape;
  shape.prefix = BytesOf(info[first]).ToString();
  shape.bytes = info[first + 1].As<Napi::Number>().Uint32Value();
  shape.time_offset = info[first + 2].As<Napi::Number>().Uint32Value();
  shape.timeline_offset = info[first + 3].As<Napi::Number>().Uint32Value();
  return shape;
}

uint64_t NumberOf(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }

Napi::Value Count(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

class FrameWorker : public Worker {
 public:
  FrameWorker(const std::shared_ptr<CommitTail>& tail, size_t max_bytes, uint64_t up_to, bool continues)
      : Worker(tail->wal().handle()), tail_(tail), max_bytes_(max_bytes), up_to_(up_to), continues_(continues) {}

 protected:
  rocksdb::Status Execute() override { return tail_->Frame(max_bytes_, up_to_, continues_, &framed_); }

  Napi::Value Result(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("records", ToBuffer(env, std::move(framed_.records)));
    result.Set("count", Count(env, framed_.count));
    result.Set("sequenceFrom", Count(env, framed_.sequence_from));
    result.Set("sequenceTo", Count(env, framed_.sequence_to));
    result.Set("firstTimeUs", Count(env, framed_.first_time_us));
    result.Set("lastTimeUs", Count(env, framed_.last_time_us));
    result.Set("digestFrom", DigestBuffer(env, framed_.digest_from));
    result.Set("digest", DigestBuffer(env, framed_.digest_to));
    Napi::Array index = Napi::Array::New(env, framed_.index.size());
    for (uint32_t i = 0; i < framed_.index.size(); i++) index.Set(i, Describe(env, framed_.index[i]));
    result.Set("index", index);
    return result;
  }

  void Finished() override { tail_->wal().End(); }

 private:
  static Napi::Object Describe(Napi::Env env, const IndexEntry& entry) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("sequence", Count(env, entry.sequence));
    object.Set("timeUs", Count(env, entry.time_us));
    object.Set("offset", Count(env, entry.offset));
    object.Set("digest", DigestBuffer(env, entry.digest));
    return object;
  }

  std::shared_ptr<CommitTail> tail_;
  size_t max_bytes_;
  uint64_t up_to_;
  bool continues_;
  FramedCommits framed_;
};

// The commit that ends at one sequence.
class ReadCommitWorker : public Worker {
 public:
  ReadCommitWorker(const std::shared_ptr<Handle>& handle, uint64_t sequence, uint64_t unmarked_time_us, MarkShape shape)
      : Worker(handle),
        wal_(std::make_unique<WalTail>(handle, sequence)),
        sequence_(sequence),
        unmarked_time_us_(unmarked_time_us),
        shape_(std::move(shape)) {}

 protected:
  rocksdb::Status Execute() override {
    rocksdb::BatchResult batch;
    std::vector<Commit> commits;
    rocksdb::Status status = wal_->Next(&batch);
    if (!status.ok() || batch.writeBatchPtr == nullptr) return status;
    status = SplitCommits(batch, shape_, unmarked_time_us_, &commits);
    for (const Commit& commit : commits) {
      if (!status.ok() || commit.sequence > sequence_ || commit.last_sequence() < sequence_) continue;
      if (commit.last_sequence() != sequence_) {
        return rocksdb::Status::InvalidArgument("sequence " + std::to_string(sequence_) +
                                                " is inside the commit that ends at " +
                                                std::to_string(commit.last_sequence()));
      }
      AppendRecord(&record_, commit.sequence, commit.time_us, commit.count, commit.body);
    }
    return status;
  }

  Napi::Value Result(Napi::Env env) override {
    return record_.empty() ? env.Null() : ToBuffer(env, std::move(record_));
  }

  void Finished() override { wal_.reset(); }

 private:
  std::unique_ptr<WalTail> wal_;
  uint64_t sequence_;
  uint64_t unmarked_time_us_;
  MarkShape shape_;
  std::string record_;
};

}  // namespace

Digest DigestOf(const Napi::Value& value) {
  Digest digest{};
  const rocksdb::Slice bytes = BytesOf(value);
  std::copy_n(bytes.data(), std::min(bytes.size(), digest.size()), digest.begin());
  return digest;
}

Napi::Value DigestBuffer(Napi::Env env, const Digest& digest) {
  return Napi::Buffer<unsigned char>::Copy(env, digest.data(), digest.size());
}

rocksdb::Status SplitCommits(const rocksdb::BatchResult& batch, const MarkShape& shape, uint64_t unmarked_time_us,
                             std::vector<Commit>* commits) {
  const std::string& rep = batch.writeBatchPtr->Data();
  if (rep.size() < kBatchHeaderBytes) return Malformed(batch, "is shorter than its header");
  const rocksdb::Slice records(rep.data() + kBatchHeaderBytes, rep.size() - kBatchHeaderBytes);
  Commit open{batch.sequence, unmarked_time_us, 0, 0, rocksdb::Slice()};
  size_t start = 0;
  uint32_t before = 0;
  BatchWalk walk(records);
  const auto finish = [&](size_t end) {
    open.sequence = batch.sequence + before;
    open.count = walk.count() - before;
    open.body = rocksdb::Slice(records.data() + start, end - start);
    if (open.count > 0) commits->push_back(open);
    before = walk.count();
  };
  for (;;) {
    const BatchWalk::Step step = walk.Next();
    if (step == BatchWalk::Step::kMalformed) {
      const auto type = static_cast<unsigned char>(records[walk.begin()]);
      return Malformed(batch, "has a record at offset " + std::to_string(kBatchHeaderBytes + walk.begin()) +
                                  " that ends early or is none that Cairn writes (type " + std::to_string(type) + ")");
    }
    if (step == BatchWalk::Step::kEnd) break;
    if (step == BatchWalk::Step::kRecord || !IsMark(walk.blob(), shape)) continue;
    finish(walk.begin());
    start = walk.end();
    open.time_us = ReadBigEndian(walk.blob().data() + shape.time_offset, 8);
    open.timeline = static_cast<uint32_t>(ReadBigEndian(walk.blob().data() + shape.timeline_offset, 4));
  }
  finish(records.size());
  if (walk.count() != batch.writeBatchPtr->Count()) {
    return Malformed(batch, "promises " + std::to_string(batch.writeBatchPtr->Count()) + " records and has " +
                                std::to_string(walk.count()));
  }
  return rocksdb::Status::OK();
}

CommitTail::CommitTail(std::shared_ptr<Handle> handle, uint64_t sequence_from, uint32_t timeline, const Digest& digest,
                       uint64_t last_time_us, MarkShape shape)
    : wal_(std::make_unique<WalTail>(std::move(handle), sequence_from + 1)),
      shape_(std::move(shape)),
      timeline_(timeline),
      chain_(timeline, digest),
      sequence_(sequence_from),
      last_time_us_(last_time_us) {}

rocksdb::Status CommitTail::Frame(size_t max_bytes, uint64_t up_to, bool continues, FramedCommits* framed) {
  if (!continues) {
    segment_bytes_ = 0;
    next_window_ = 0;
  }
  framed->sequence_from = sequence_;
  framed->digest_from = chain_.value();
  rocksdb::Status status;
  while (!wal_->handle()->stopping.load()) {
    const Commit* commit = nullptr;
    status = Peek(&commit);
    if (!status.ok() || commit == nullptr || commit->last_sequence() > up_to) break;
    const size_t bytes = framed->records.size() + kRecordHeaderBytes + commit->body.size();
    if (framed->count > 0 && bytes > max_bytes) break;
    status = Take(*commit, framed);
    if (!status.ok()) break;
  }
  framed->sequence_to = sequence_;
  framed->last_time_us = last_time_us_;
  framed->digest_to = chain_.value();
  // What was framed before a failure is good and is delivered first; the failure comes again at the next call.
  return framed->count > 0 ? rocksdb::Status::OK() : status;
}

rocksdb::Status CommitTail::Peek(const Commit** commit) {
  *commit = nullptr;
  for (;;) {
    for (; taken_ < commits_.size(); taken_++) {
      if (commits_[taken_].last_sequence() > sequence_) break;  // else it is at or before where reading began
    }
    if (taken_ < commits_.size()) break;
    if (!broken_.ok()) return broken_;
    commits_.clear();
    taken_ = 0;
    const rocksdb::Status status = wal_->Next(&batch_);
    if (!status.ok() || batch_.writeBatchPtr == nullptr) return status;
    broken_ = SplitCommits(batch_, shape_, last_time_us_, &commits_);
    if (!broken_.ok()) commits_.clear();
  }
  const Commit& next = commits_[taken_];
  if (next.sequence != sequence_ + 1) {
    return rocksdb::Status::InvalidArgument("sequence " + std::to_string(sequence_) + " is inside the commit from " +
                                            std::to_string(next.sequence) + " to " +
                                            std::to_string(next.last_sequence()));
  }
  if (next.timeline > timeline_) {
    return rocksdb::Status::InvalidArgument("the commit at sequence " + std::to_string(next.sequence) +
                                            " belongs to timeline " + std::to_string(next.timeline) + ", not " +
                                            std::to_string(timeline_));
  }
  if (next.time_us < last_time_us_) {
    return rocksdb::Status::InvalidArgument("the commit at sequence " + std::to_string(next.sequence) + " has time " +
                                            std::to_string(next.time_us) + ", the one before it " +
                                            std::to_string(last_time_us_));
  }
  *commit = &next;
  return rocksdb::Status::OK();
}

rocksdb::Status CommitTail::Take(const Commit& commit, FramedCommits* framed) {
  if (segment_bytes_ >= next_window_) {
    framed->index.push_back({commit.sequence, commit.time_us, segment_bytes_, chain_.value()});
    next_window_ = (segment_bytes_ / kIndexWindowBytes + 1) * kIndexWindowBytes;
  }
  const size_t before = framed->records.size();
  const rocksdb::Slice covered =
      AppendRecord(&framed->records, commit.sequence, commit.time_us, commit.count, commit.body);
  if (!chain_.Add(covered)) return rocksdb::Status::Aborted("SHA-256 failed");
  segment_bytes_ += framed->records.size() - before;
  if (framed->count == 0) framed->first_time_us = commit.time_us;
  framed->count++;
  sequence_ = commit.last_sequence();
  last_time_us_ = commit.time_us;
  taken_++;
  return rocksdb::Status::OK();
}

Napi::Function CommitReaderObject::Define(Napi::Env env) {
  return DefineClass(
      env, "CommitReader",
      {InstanceMethod<&CommitReaderObject::Next>("next"), InstanceMethod<&CommitReaderObject::Close>("close")});
}

Napi::Value CommitReaderObject::Make(Napi::Env env, const std::shared_ptr<Handle>& handle,
                                     const Napi::CallbackInfo& info) {
  auto tail = std::make_shared<CommitTail>(handle, NumberOf(info[0]), info[1].As<Napi::Number>().Uint32Value(),
                                           DigestOf(info[2]), NumberOf(info[3]), MarkShapeOf(info, 4));
  return env.GetInstanceData<AddonData>()->commit_reader.New(
      {Napi::External<std::shared_ptr<CommitTail>>::New(env, &tail)});
}

CommitReaderObject::CommitReaderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CommitReaderObject>(info) {
  tail_ = std::move(*info[0].As<Napi::External<std::shared_ptr<CommitTail>>>().Data());
}

// next(maxBytes, upToSequence, continues)
Napi::Value CommitReaderObject::Next(const Napi::CallbackInfo& info) {
  const Napi::Value refused = tail_->wal().Begin(info.Env());
  if (!refused.IsEmpty()) return refused;
  return Worker::Queue(info.Env(), std::make_unique<FrameWorker>(tail_, NumberOf(info[0]), NumberOf(info[1]),
                                                                 info[2].As<Napi::Boolean>().Value()));
}

void CommitReaderObject::Close(const Napi::CallbackInfo&) { tail_->wal().Close(); }

Napi::Value QueueReadCommit(const std::shared_ptr<Handle>& handle, const Napi::CallbackInfo& info) {
  if (!handle->IsOpen()) return Rejected(info.Env(), Closed());
  return Worker::Queue(info.Env(), std::make_unique<ReadCommitWorker>(handle, NumberOf(info[0]), NumberOf(info[1]),
                                                                      MarkShapeOf(info, 2)));
}

}  // namespace cairn
