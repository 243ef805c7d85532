// The reference of replay.mjs: the same commits into the same librocksdb in batches of 1 MB with the WAL off, and nothing
// else: no check of a CRC, a sequence or a digest. Prints three times in ms: applied; applied and flushed; processor
// time of all threads.
//
//   replay <file of framed records> <directory that is not there>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

static double ProcessorMs() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  std::ifstream file(argv[1], std::ios::binary);
  const std::string area((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  if (!rocksdb::DB::Open(options, argv[2], &db).ok()) return 1;
  rocksdb::WriteOptions write;
  write.disableWAL = true;

  const auto start = std::chrono::steady_clock::now();
  const double idle = ProcessorMs();
  const auto elapsed = [&] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  std::string rep(12, '\0');
  uint32_t count = 0;
  const auto apply = [&] {
    std::memcpy(&rep[8], &count, 4);
    rocksdb::WriteBatch batch(std::move(rep));
    if (!db->Write(write, &batch).ok()) std::exit(1);
    rep.clear();
    rep.reserve((1 << 20) + 4096);
    rep.assign(12, '\0');
    count = 0;
  };
  for (size_t at = 0; at < area.size();) {
    uint32_t length, records;
    std::memcpy(&length, &area[at], 4);
    std::memcpy(&records, &area[at + 24], 4);
    rep.append(area, at + 28, length);
    count += records;
    at += 28 + length;
    if (rep.size() >= 1 << 20) apply();
  }
  if (count > 0) apply();
  const double applied = elapsed();
  if (!db->Flush(rocksdb::FlushOptions()).ok()) return 1;
  const double flushed = elapsed();
  std::printf("%.1f %.1f %.1f\n", applied, flushed, ProcessorMs() - idle);
  delete db;
  return 0;
}
