/**
 * INFO's section `rocksdb`: how the engine is, from numbers that it keeps anyway. Counts begin when the database was
 * opened, and anew after a restore in place; CONFIG RESETSTAT leaves them alone.
 */
import type { Database } from '../engine/types.js';

type Fields = Record<string, string | number>;

/** Name here, RocksDB's name of the property. */
const properties: readonly (readonly [string, string])[] = [
  ['rocksdb_memtable_bytes', 'cur-size-all-mem-tables'],
  ['rocksdb_memtable_active_bytes', 'cur-size-active-mem-table'],
  ['rocksdb_memtables_immutable', 'num-immutable-mem-table'],
  ['rocksdb_flush_pending', 'mem-table-flush-pending'],
  ['rocksdb_flushes_running', 'num-running-flushes'],
  ['rocksdb_compaction_pending', 'compaction-pending'],
  ['rocksdb_compactions_running', 'num-running-compactions'],
  ['rocksdb_compaction_pending_bytes', 'estimate-pending-compaction-bytes'],
  ['rocksdb_write_stopped', 'is-write-stopped'],
  ['rocksdb_write_rate_limit', 'actual-delayed-write-rate'],
  ['rocksdb_background_errors', 'background-errors'],
  ['rocksdb_keys_estimated', 'estimate-num-keys'],
  ['rocksdb_live_data_bytes_estimated', 'estimate-live-data-size'],
  ['rocksdb_table_bytes', 'total-sst-files-size'],
  ['rocksdb_table_readers_bytes', 'estimate-table-readers-mem'],
  ['rocksdb_snapshots', 'num-snapshots'],
  ['rocksdb_block_cache_capacity_bytes', 'block-cache-capacity'],
  ['rocksdb_block_cache_bytes', 'block-cache-usage'],
  ['rocksdb_block_cache_pinned_bytes', 'block-cache-pinned-usage'],
];

/** Name here, RocksDB's ticker. */
const tickers: readonly (readonly [string, string])[] = [
  ['rocksdb_block_cache_hits', 'rocksdb.block.cache.hit'],
  ['rocksdb_block_cache_misses', 'rocksdb.block.cache.miss'],
  ['rocksdb_memtable_hits', 'rocksdb.memtable.hit'],
  ['rocksdb_memtable_misses', 'rocksdb.memtable.miss'],
  ['rocksdb_bloom_filter_useful', 'rocksdb.bloom.filter.useful'],
  ['rocksdb_wal_bytes', 'rocksdb.wal.bytes'],
  ['rocksdb_wal_syncs', 'rocksdb.wal.synced'],
  ['rocksdb_bytes_written', 'rocksdb.bytes.written'],
  ['rocksdb_bytes_read', 'rocksdb.bytes.read'],
  ['rocksdb_flush_write_bytes', 'rocksdb.flush.write.bytes'],
  ['rocksdb_compaction_read_bytes', 'rocksdb.compact.read.bytes'],
  ['rocksdb_compaction_write_bytes', 'rocksdb.compact.write.bytes'],
  ['rocksdb_stall_us', 'rocksdb.stall.micros'],
];

const LEVELS = 7;

/** Nothing where no database is open. What this version of RocksDB does not know is left out. */
export function rocksdbFields(database: Database | null): Fields {
  if (database === null || database.closed) return {};
  const fields: Fields = {};
  for (const [name, property] of properties) {
    const value = database.property(`rocksdb.${property}`);
    if (value !== null) fields[name] = Number(value);
  }
  for (let level = 0; level < LEVELS; level++) {
    const files = database.property(`rocksdb.num-files-at-level${level}`);
    if (files !== null) fields[`rocksdb_tables_level${level}`] = Number(files);
  }
  const counts = database.statistics();
  for (const [name, ticker] of tickers) {
    const count = counts[ticker];
    if (count !== undefined) fields[name] = count;
  }
  return fields;
}
