// The reference of the backup cases: RocksDB's own BackupEngine and checkpoint, on the same librocksdb and with as many threads.
// Prints the milliseconds of the operation, without opening and closing what it works on.
//
//   backup-engine backup <database> <backups> <threads>       a new backup; tables are shared, every file has a crc32c
//   backup-engine restore <backups> <database> <threads>      the newest one
//   backup-engine checkpoint <database> <directory>
//   backup-engine tables <database> <files>                   makes a database of so many small tables
#include <rocksdb/db.h>
#include <rocksdb/utilities/backup_engine.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

static void Require(const rocksdb::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

static std::unique_ptr<rocksdb::DB> Open(const char* path, const rocksdb::Options& options) {
  rocksdb::DB* database = nullptr;
  Require(rocksdb::DB::Open(options, path, &database));
  return std::unique_ptr<rocksdb::DB>(database);
}

static std::unique_ptr<rocksdb::BackupEngine> Backups(const char* path, const char* threads) {
  rocksdb::BackupEngineOptions options(path);
  options.max_background_operations = std::atoi(threads);
  rocksdb::BackupEngine* engine = nullptr;
  Require(rocksdb::BackupEngine::Open(options, rocksdb::Env::Default(), &engine));
  return std::unique_ptr<rocksdb::BackupEngine>(engine);
}

template <typename Body>
static void Time(Body body) {
  const auto start = std::chrono::steady_clock::now();
  Require(body());
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  std::printf("%.3f\n", taken.count());
}

// One table per flush, and no compaction that would merge them.
static void MakeTables(const char* path, int files) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.disable_auto_compactions = true;
  options.level0_slowdown_writes_trigger = files + 1;
  options.level0_stop_writes_trigger = files + 2;
  const auto database = Open(path, options);
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  for (int n = 0; n < files; n += 1) {
    char key[32];
    std::snprintf(key, sizeof(key), "key:%08d", n);
    Require(database->Put(write, key, std::string(100, static_cast<char>('a' + n % 26))));
    Require(database->Flush(rocksdb::FlushOptions()));
  }
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string what = argv[1];
  if (what == "backup" && argc == 5) {
    const auto database = Open(argv[2], rocksdb::Options());
    const auto engine = Backups(argv[3], argv[4]);
    Time([&] { return engine->CreateNewBackup(database.get()); });
  } else if (what == "restore" && argc == 5) {
    const auto engine = Backups(argv[2], argv[4]);
    Time([&] { return engine->RestoreDBFromLatestBackup(argv[3], argv[3]); });
  } else if (what == "checkpoint") {
    const auto database = Open(argv[2], rocksdb::Options());
    Time([&] {
      rocksdb::Checkpoint* checkpoint = nullptr;
      rocksdb::Status status = rocksdb::Checkpoint::Create(database.get(), &checkpoint);
      const std::unique_ptr<rocksdb::Checkpoint> owned(checkpoint);
      return status.ok() ? checkpoint->CreateCheckpoint(argv[3]) : status;
    });
  } else if (what == "tables") {
    MakeTables(argv[2], std::atoi(argv[3]));
  } else {
    return 2;
  }
  return 0;
}
