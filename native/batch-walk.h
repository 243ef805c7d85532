// Steps through the records of a RocksDB WriteBatch without copying: where each ends, whether it takes a sequence
// number, its key and value, and the bytes of log data. Accepts what Cairn writes (write.cc refuses the rest before it
// reaches the log).
#pragma once

#include <rocksdb/slice.h>

#include <cstddef>
#include <cstdint>

namespace cairn {

constexpr size_t kBatchHeaderBytes = 12;  // u64 sequence, u32 count

class BatchWalk {
 public:
  enum class Step { kRecord, kLogData, kEnd, kMalformed };
  enum class Kind { kPut, kDelete, kDeleteRange };

  explicit BatchWalk(rocksdb::Slice records) : at_(records.data()), end_(at_ + records.size()), start_(at_) {}

  Step Next() {
    begin_ = at_;
    if (at_ == end_) return Step::kEnd;
    switch (static_cast<unsigned char>(*at_++)) {
      case 0x01:  // put
        if (!Part()) return Step::kMalformed;
        key_ = part_;
        if (!Part()) return Step::kMalformed;
        kind_ = Kind::kPut;
        count_++;
        return Step::kRecord;
      case 0x0f: {  // delete range
        if (!Part()) return Step::kMalformed;
        const rocksdb::Slice from = part_;
        if (!Part() || from.compare(part_) >= 0) return Step::kMalformed;
        kind_ = Kind::kDeleteRange;
        count_++;
        return Step::kRecord;
      }
      case 0x00:  // delete
        if (!Part()) return Step::kMalformed;
        key_ = part_;
        kind_ = Kind::kDelete;
        count_++;
        return Step::kRecord;
      case 0x03:
        return Part() ? Step::kLogData : Step::kMalformed;
      default:
        return Step::kMalformed;
    }
  }

  // Where the record of the last step begins, and where it ends.
  size_t begin() const { return static_cast<size_t>(begin_ - start_); }
  size_t end() const { return static_cast<size_t>(at_ - start_); }
  // The log data of the last step.
  rocksdb::Slice blob() const { return part_; }
  // Of the last step, where it was a record; a put and a deletion have a key, a put has a value.
  Kind kind() const { return kind_; }
  rocksdb::Slice key() const { return key_; }
  rocksdb::Slice value() const { return part_; }
  // Records so far that take a sequence number.
  uint32_t count() const { return count_; }

 private:
  // varint32 length, bytes
  bool Part() {
    uint64_t length = 0;
    for (unsigned shift = 0;; shift += 7) {
      if (at_ == end_ || shift > 28) return false;
      const auto byte = static_cast<unsigned char>(*at_++);
      length |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (length > static_cast<uint64_t>(end_ - at_)) return false;
    part_ = rocksdb::Slice(at_, length);
    at_ += length;
    return true;
  }

  const char* at_;
  const char* end_;
  const char* start_;
  const char* begin_ = nullptr;
  rocksdb::Slice part_;
  rocksdb::Slice key_;
  Kind kind_ = Kind::kPut;
  uint32_t count_ = 0;
};

}  // namespace cairn
