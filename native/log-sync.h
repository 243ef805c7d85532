#pragma once

#include <rocksdb/listener.h>

#include <memory>

namespace cairn {

/**
 * Makes closed logs durable before the memtable that they belong to becomes a table. RocksDB is done with a log then and moves it to
 * archive/ without ever syncing its end: after a power cut the table would have commits that no log has, and the archive a hole.
 */
std::shared_ptr<rocksdb::EventListener> MakeLogSync();

}  // namespace cairn
