// What RocksDB alone takes for the SETs of the resp case: one thread puts random keys in batches, as large as a write group of all clients
// is at most, into the same librocksdb with the WAL on and not synced. Prints puts per second, and µs of processor time per put.
//
//   puts <directory that is not there> <puts> <puts of a batch> <keys> <bytes of a value>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

static double ProcessorSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const long puts = std::atol(argv[2]);
  const long batch_puts = std::atol(argv[3]);
  const long keys = std::atol(argv[4]);
  const std::string value(std::atol(argv[5]), 'x');
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  if (!rocksdb::DB::Open(options, argv[1], &db).ok()) return 1;
  std::mt19937_64 random(12345);
  const auto start = std::chrono::steady_clock::now();
  const double idle = ProcessorSeconds();
  for (long done = 0; done < puts;) {
    rocksdb::WriteBatch batch;
    for (long n = 0; n < batch_puts && done < puts; n++, done++) {
      char key[32];
      const int length = std::snprintf(key, sizeof key, "key:%012ld", static_cast<long>(random() % keys));
      batch.Put(rocksdb::Slice(key, length), value);
    }
    if (!db->Write(rocksdb::WriteOptions(), &batch).ok()) return 1;
  }
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%.0f %.2f\n", puts / elapsed, (ProcessorSeconds() - idle) * 1e6 / puts);
  delete db;
  return 0;
}
