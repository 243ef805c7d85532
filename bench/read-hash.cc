// What reading files and hashing them costs at the least: so many threads, one file after the other, largest first, chunks that
// stay in the processor's cache. No policy, no answer to anybody; prints the milliseconds.
//
//   read-hash <directory> <threads>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

static constexpr size_t kChunkBytes = 256 * 1024;

static void Collect(const std::string& path, std::vector<std::pair<off_t, std::string>>* files) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) std::exit(1);
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string below = path + "/" + name;
    struct stat stats;
    if (lstat(below.c_str(), &stats) != 0) continue;
    if (S_ISDIR(stats.st_mode)) Collect(below, files);
    if (S_ISREG(stats.st_mode)) files->emplace_back(stats.st_size, below);
  }
  closedir(directory);
}

static void Hash(const std::string& path, char* chunk) {
  const int file = open(path.c_str(), O_RDONLY);
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_DigestInit_ex(digest, EVP_sha256(), nullptr);
  for (ssize_t length; (length = read(file, chunk, kChunkBytes)) > 0;) EVP_DigestUpdate(digest, chunk, length);
  unsigned char bytes[EVP_MAX_MD_SIZE];
  EVP_DigestFinal_ex(digest, bytes, nullptr);
  EVP_MD_CTX_free(digest);
  close(file);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::vector<std::pair<off_t, std::string>> files;
  Collect(argv[1], &files);
  std::sort(files.rbegin(), files.rend());
  const auto start = std::chrono::steady_clock::now();
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int n = 0; n < std::atoi(argv[2]); n += 1) {
    threads.emplace_back([&] {
      // At the beginning of a page: reading into any other place takes much longer.
      char* chunk = static_cast<char*>(std::aligned_alloc(4096, kChunkBytes));
      for (size_t at; (at = next++) < files.size();) Hash(files[at].second, chunk);
      std::free(chunk);
    });
  }
  for (auto& thread : threads) thread.join();
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  std::printf("%.3f\n", taken.count());
  return 0;
}
