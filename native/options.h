// The open options, read from a plain JavaScript object, and what every database of Cairn's is opened with.
// docs/engine.md says why each is so.
#pragma once

#include <napi.h>
#include <rocksdb/options.h>

#include <memory>

namespace cairn {

enum class OpenMode { kReadWrite, kReadOnly, kSecondary };

struct OpenRequest {
  std::string path;
  std::string secondary_path;
  OpenMode mode = OpenMode::kReadWrite;
  rocksdb::Options options;
  // For getCached; 0: none.
  size_t value_cache_bytes = 0;
};

OpenRequest ReadOpenRequest(const Napi::Object& object);

}  // namespace cairn
