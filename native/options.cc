#include "options.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "checksum.h"
#include "info-log.h"
#include "load-memtable.h"
#include "log-sync.h"

namespace cairn {
namespace {

bool Flag(const Napi::Object& object, const char* name, bool fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : fallback;
}

uint64_t Number(const Napi::Object& object, const char* name, uint64_t fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()) : fallback;
}

std::string Text(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

rocksdb::BlockBasedTableOptions TableOptions(const Napi::Object& object) {
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.checksum = rocksdb::kxxHash64;
  table.block_cache = rocksdb::NewLRUCache(Number(object, "blockCacheBytes", 64 << 20));
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // Index and filter live in the cache, in partitions: memory is bounded by the cache, not by the size of the data.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.pin_top_level_index_and_filter = true;
  return table;
}

// How many tables may be open, or RocksDB would open them all: of the limit of open files three quarters are for clients
// (cli/open-files.ts), and two databases are open at once while one is restored or verified.
int OpenTables() {
  constexpr rlim_t kOthers = 50;  // logs, directories, objects of the repository
  constexpr rlim_t kFewest = 20;  // RocksDB's own
  constexpr rlim_t kMost = 1 << 20;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMost;
  const rlim_t share = limit.rlim_cur / 8;
  return static_cast<int>(std::clamp(share > kOthers ? share - kOthers : 0, kFewest, kMost));
}

}  // namespace

OpenRequest ReadOpenRequest(const Napi::Object& object) {
  OpenRequest request;
  request.path = Text(object, "path");
  request.secondary_path = Text(object, "secondaryPath");
  if (Flag(object, "readOnly", false)) request.mode = OpenMode::kReadOnly;
  if (!request.secondary_path.empty()) request.mode = OpenMode::kSecondary;

  request.value_cache_bytes = Number(object, "valueCacheBytes", 0);

  rocksdb::Options& options = request.options;
  options.create_if_missing = Flag(object, "createIfMissing", false);
  options.error_if_exists = Flag(object, "errorIfExists", false);
  options.paranoid_checks = Flag(object, "paranoidChecks", true);
  options.wal_recovery_mode = Flag(object, "stopAtTornTail", false)
                                  ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                  : rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  const bool keep_wal = Flag(object, "keepWal", false);
  if (keep_wal) options.listeners.push_back(MakeLogSync());
  options.WAL_ttl_seconds =
      keep_wal ? std::numeric_limits<uint64_t>::max() : Number(object, "walTtlSeconds", 0);
  options.WAL_size_limit_MB = 0;

  options.write_buffer_size = Number(object, "writeBufferBytes", 64 << 20);
  // Whether a new key is there already is asked before it is written: mostly answered without a search in the memtable.
  options.memtable_whole_key_filtering = true;
  options.memtable_prefix_bloom_size_ratio = 0.05;
  options.max_background_jobs = static_cast<int>(Number(object, "maxBackgroundJobs", 2));
  if (Flag(object, "load", false)) {
    options.memtable_factory = MakeLoadMemTable();
    options.allow_concurrent_memtable_write = false;
    options.memtable_whole_key_filtering = false;
    options.memtable_prefix_bloom_size_ratio = 0;
    // Sorting and writing out takes longer than gathering: several threads do it, while one more memtable is filled.
    options.max_background_flushes = static_cast<int>(Number(object, "flushThreads", 1));
    options.max_background_compactions = 1;
    options.max_write_buffer_number = options.max_background_flushes + 1;
    if (Flag(object, "deferCompaction", false)) {
      // For whoever knows that fewer tables come of it: rearranging them takes a core, and is done by what opens it next.
      options.level0_file_num_compaction_trigger = 16;
      options.level0_slowdown_writes_trigger = 28;
    }
  }
  // A secondary has to hold what its primary may remove.
  options.max_open_files = request.mode == OpenMode::kSecondary ? -1 : OpenTables();
  options.compression = rocksdb::kSnappyCompression;
  options.bottommost_compression = rocksdb::kDisableCompressionOption;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions(object)));
  // Files that an iterator was the last to use are deleted in the background, not on the thread that closes it.
  options.avoid_unnecessary_blocking_io = true;
  options.bytes_per_sync = 1 << 20;
  options.info_log = MakeInfoLog(request.secondary_path.empty() ? request.path : request.secondary_path);
  options.statistics = rocksdb::CreateDBStatistics();
  options.statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;

  const std::string checksum = Text(object, "fileChecksum");
  if (checksum == "sha256") options.file_checksum_gen_factory = NewSha256Factory();
  if (checksum == "crc32c") options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  return request;
}

}  // namespace cairn
