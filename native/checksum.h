// A SHA-256 of each table, computed by RocksDB while it writes the table and kept in its MANIFEST. The name is part of
// what is stored: src/engine trusts a stored checksum only under this name. And the CRC32c that RocksDB's logs carry.
#pragma once

#include <napi.h>
#include <rocksdb/file_checksum.h>

#include <memory>

namespace cairn {

constexpr char kSha256Name[] = "cairn-sha256";

std::shared_ptr<rocksdb::FileChecksumGenFactory> NewSha256Factory();

// sha256(buffer): a promise of its SHA-256.
Napi::Value HashBytes(const Napi::CallbackInfo& info);

// crc32c(buffer, start, end)
Napi::Value Crc32c(const Napi::CallbackInfo& info);

}  // namespace cairn
