// The records of a segment: commits as bytes, and the running digest over them. docs/backup-format.md draws the whole
// file; this is its records area alone. All integers little endian.
//
//   0   4  length of the body, n
//   4   4  crc32c of bytes 8 .. 28+n-1
//   8   8  sequence: the commit's first
//   16  8  commit time, µs
//   24  4  count: sequences that the body takes
//   28  n  body: WriteBatch records
//
//   D(after) = SHA-256( D(before) ‖ u32le timeline ‖ bytes 8 .. 28+n-1 )
#pragma once

#include <openssl/evp.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

namespace cairn {

constexpr size_t kRecordHeaderBytes = 28;
constexpr size_t kUncoveredBytes = 8;  // length and crc
constexpr size_t kDigestBytes = 32;

using Digest = std::array<unsigned char, kDigestBytes>;

class DigestChain {
 public:
  DigestChain(uint32_t timeline, const Digest& start);
  // covered: a record from its sequence on. False: libcrypto failed, the value is as before.
  bool Add(rocksdb::Slice covered);
  const Digest& value() const { return value_; }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
  uint32_t timeline_;
  Digest value_;
};

struct Record {
  uint64_t sequence = 0;
  uint64_t time_us = 0;
  uint32_t count = 0;
  rocksdb::Slice body;
  rocksdb::Slice covered;
  uint64_t last_sequence() const { return sequence + count - 1; }
};

// The covered bytes of what was appended are a view into `area`, valid until it grows.
rocksdb::Slice AppendRecord(std::string* area, uint64_t sequence, uint64_t time_us, uint32_t count,
                            rocksdb::Slice body);

// One record after the other, each checked: length, crc, sequence right after the last one's, time not before it, body well-formed with as
// many records as promised. Corruption names the offset, what was wrong, expected and actual:
// "record at=<offset> why=<word> expected=<x> actual=<y>" (src/engine/commits.ts reads it).
class RecordCursor {
 public:
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  struct Range {
    size_t from = 0;
    size_t to = 0;
    uint32_t timeline = 0;
    Digest digest{};
    bool is_chained = true;  // false: the digest stays as it is
    uint64_t sequence = 0;         // the last one before the first record
    uint64_t stop_sequence = kNever;  // the first commit that ends after it is not taken
    uint64_t stop_time_us = kNever;   // the first commit with a later time is not taken
  };

  RecordCursor(rocksdb::Slice bytes, const Range& range);

  // *taken false: at the end, or before the commit to stop at. What follows describes the state after what was taken.
  rocksdb::Status Next(Record* record, bool* taken);

  uint64_t commits() const { return commits_; }
  uint64_t sequence() const { return sequence_; }
  uint64_t last_time_us() const { return last_time_us_; }
  uint64_t body_bytes() const { return body_bytes_; }
  size_t offset() const { return offset_; }
  const Digest& digest() const { return chain_.value(); }

 private:
  rocksdb::Status Check(Record* record) const;

  rocksdb::Slice bytes_;
  Range range_;
  DigestChain chain_;
  size_t offset_;
  uint64_t sequence_;
  uint64_t commits_ = 0;
  uint64_t last_time_us_ = 0;
  uint64_t body_bytes_ = 0;
};

// Little endian, at any address.
uint32_t ReadU32(const char* at);
uint64_t ReadU64(const char* at);

}  // namespace cairn
