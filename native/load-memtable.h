// A memtable for loading: entries are gathered as they come, and put in order when somebody looks, which is the flush, in the
// background. Sorting many at once costs a fraction of finding the place of each, in a list that fits no cache.
#pragma once

#include <rocksdb/memtablerep.h>

#include <memory>

namespace cairn {

// For the bytewise comparator, and one writer at a time. Reading while it is written to is right, and slow; an iterator that is open
// then has what was written before it was made, and cannot be refreshed.
std::shared_ptr<rocksdb::MemTableRepFactory> MakeLoadMemTable();

}  // namespace cairn
