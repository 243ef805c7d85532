#include "records.h"

#include <algorithm>

#include "batch-walk.h"
#include "crc32c.h"

namespace cairn {
namespace {

void WriteLittleEndian(char* at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) at[i] = static_cast<char>(value >> 8 * i);
}

uint64_t ReadLittleEndian(const char* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i > 0; i--) value = value << 8 | static_cast<unsigned char>(at[i - 1]);
  return value;
}

rocksdb::Status Wrong(size_t offset, const char* why, uint64_t expected, uint64_t actual) {
  return rocksdb::Status::Corruption("record at=" + std::to_string(offset) + " why=" + why +
                                     " expected=" + std::to_string(expected) + " actual=" + std::to_string(actual));
}

const EVP_MD* Sha256() {
  // Fetched once: EVP_sha256() would be looked up again by every EVP_DigestInit.
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  static const EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
#else
  return EVP_sha256();
#endif
}

}  // namespace

uint32_t ReadU32(const char* at) { return static_cast<uint32_t>(ReadLittleEndian(at, 4)); }
uint64_t ReadU64(const char* at) { return ReadLittleEndian(at, 8); }

DigestChain::DigestChain(uint32_t timeline, const Digest& start)
    : context_(EVP_MD_CTX_new()), timeline_(timeline), value_(start) {}

bool DigestChain::Add(rocksdb::Slice covered) {
  char head[kDigestBytes + 4];
  std::copy(value_.begin(), value_.end(), head);
  WriteLittleEndian(head + kDigestBytes, timeline_, 4);
  EVP_MD_CTX* context = context_.get();
  const EVP_MD* algorithm = Sha256();
  return context != nullptr && algorithm != nullptr && EVP_DigestInit_ex(context, algorithm, nullptr) == 1 &&
         EVP_DigestUpdate(context, head, sizeof head) == 1 &&
         EVP_DigestUpdate(context, covered.data(), covered.size()) == 1 &&
         EVP_DigestFinal_ex(context, value_.data(), nullptr) == 1;
}

rocksdb::Slice AppendRecord(std::string* area, uint64_t sequence, uint64_t time_us, uint32_t count,
                            rocksdb::Slice body) {
  const size_t start = area->size();
  char head[kRecordHeaderBytes];
  WriteLittleEndian(head + 8, sequence, 8);
  WriteLittleEndian(head + 16, time_us, 8);
  WriteLittleEndian(head + 24, count, 4);
  const uint32_t crc = ExtendCrc32c(ExtendCrc32c(0, head + kUncoveredBytes, kRecordHeaderBytes - kUncoveredBytes),
                                    body.data(), body.size());
  WriteLittleEndian(head, body.size(), 4);
  WriteLittleEndian(head + 4, crc, 4);
  area->append(head, sizeof head);
  area->append(body.data(), body.size());
  return rocksdb::Slice(area->data() + start + kUncoveredBytes, kRecordHeaderBytes - kUncoveredBytes + body.size());
}

RecordCursor::RecordCursor(rocksdb::Slice bytes, const Range& range)
    : bytes_(bytes),
      range_(range),
      chain_(range.timeline, range.digest),
      offset_(range.from),
      sequence_(range.sequence) {}

rocksdb::Status RecordCursor::Next(Record* record, bool* taken) {
  *taken = false;
  if (offset_ == range_.to || sequence_ >= range_.stop_sequence) return rocksdb::Status::OK();
  const rocksdb::Status status = Check(record);
  if (!status.ok()) return status;
  if (record->last_sequence() > range_.stop_sequence || record->time_us > range_.stop_time_us) return status;
  if (range_.is_chained && !chain_.Add(record->covered)) return rocksdb::Status::Aborted("SHA-256 failed");
  offset_ += kUncoveredBytes + record->covered.size();
  sequence_ = record->last_sequence();
  last_time_us_ = record->time_us;
  body_bytes_ += record->body.size();
  commits_++;
  *taken = true;
  return status;
}

rocksdb::Status RecordCursor::Check(Record* record) const {
  const size_t left = range_.to - offset_;
  if (left < kRecordHeaderBytes) return Wrong(offset_, "header", kRecordHeaderBytes, left);
  const char* at = bytes_.data() + offset_;
  const uint64_t size = kRecordHeaderBytes + static_cast<uint64_t>(ReadU32(at));
  if (size > left) return Wrong(offset_, "length", left, size);
  record->covered = rocksdb::Slice(at + kUncoveredBytes, size - kUncoveredBytes);
  record->body = rocksdb::Slice(at + kRecordHeaderBytes, size - kRecordHeaderBytes);
  const uint32_t crc = ExtendCrc32c(0, record->covered.data(), record->covered.size());
  if (crc != ReadU32(at + 4)) return Wrong(offset_, "crc32c", ReadU32(at + 4), crc);
  record->sequence = ReadU64(at + 8);
  record->time_us = ReadU64(at + 16);
  record->count = ReadU32(at + 24);
  if (record->sequence != sequence_ + 1) return Wrong(offset_, "sequence", sequence_ + 1, record->sequence);
  if (record->time_us < last_time_us_) return Wrong(offset_, "time", last_time_us_, record->time_us);

  // A body that RocksDB would stumble over, or that takes other sequences than it says, must not reach a database.
  BatchWalk walk(record->body);
  BatchWalk::Step step = walk.Next();
  while (step == BatchWalk::Step::kRecord || step == BatchWalk::Step::kLogData) step = walk.Next();
  if (step == BatchWalk::Step::kMalformed) return Wrong(offset_, "body", record->body.size(), walk.begin());
  if (walk.count() != record->count || record->count == 0) return Wrong(offset_, "count", record->count, walk.count());
  return rocksdb::Status::OK();
}

}  // namespace cairn
