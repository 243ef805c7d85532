// RocksDB's own log (LOG in the database's directory), on a writer that may fail: RocksDB's default one is a file of
// the database to itself, and the second line that does not fit on a full disk aborts the process where RocksDB is built
// with assertions. What cannot be written here is lost, and nothing else happens.
#pragma once

#include <rocksdb/env.h>

#include <memory>
#include <string>

namespace cairn {

// Opens <directory>/LOG with the first line; what was there becomes LOG.old, and so does a LOG that has grown large.
std::shared_ptr<rocksdb::Logger> MakeInfoLog(const std::string& directory);

}  // namespace cairn
