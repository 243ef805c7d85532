#include "file-copy.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>

#include "descriptor.h"

namespace cairn {
namespace {

using Kind = FileCopyOutcome::Kind;
using Side = FileCopyOutcome::Side;

constexpr mode_t kFileMode = 0600;
// What is handed to the disk at once, and how much of one file may be on its way there: more would hold back the write-ahead
// log's own syncs on the same disk, and fill the memory with what is not written yet.
constexpr int64_t kWriteBehindBytes = 1 << 20;
constexpr int64_t kOnTheWayBytes = 32 << 20;
// Synced at the latest after so much, since some file systems accept what hands bytes over and do nothing: one sync of a huge file
// could not be cancelled.
constexpr int64_t kSyncedBytes = 256 << 20;
// However long a chunk took: a cancel waits for no more.
constexpr std::chrono::milliseconds kLongestRest(50);

struct Failure {
  Kind kind;
  Side side;
  int error;
  const char* call;
};

[[noreturn]] void Fail(Side side, const char* call) { throw Failure{Kind::kSystem, side, errno, call}; }

void SyncData(int descriptor) {
#ifdef __linux__
  const int failed = Uninterrupted([&] { return fdatasync(descriptor); });
#else
  const int failed = Uninterrupted([&] { return fsync(descriptor); });
#endif
  if (failed != 0) Fail(Side::kTarget, "fdatasync");
}

// Starts the writing of what is in the page cache; false where the system or the file system has no such thing.
bool WriteBehind(int descriptor, int64_t from, int64_t to) {
#ifdef SYNC_FILE_RANGE_WRITE
  const auto none = [] { return errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP || errno == EPERM; };
  if (Uninterrupted([&] { return sync_file_range(descriptor, from, to - from, SYNC_FILE_RANGE_WRITE); }) != 0) {
    if (none()) return false;
    Fail(Side::kTarget, "sync_file_range");
  }
  // An error of an earlier write is told here, once, and not by the fsync after it.
  const int64_t older = from - kOnTheWayBytes;
  if (older >= 0 && Uninterrupted([&] {
        return sync_file_range(descriptor, older, to - from, SYNC_FILE_RANGE_WAIT_BEFORE);
      }) != 0) {
    if (none()) return false;
    Fail(Side::kTarget, "sync_file_range");
  }
  return true;
#else
  (void)from, (void)to;
  (void)descriptor;
  return false;
#endif
}

// Of this thread. Waiting for a disk takes nothing from anybody.
int64_t ProcessorTimeNs() {
  timespec now{};
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

using Chunk = std::unique_ptr<char, decltype(&std::free)>;

// At the beginning of a page: reading into any other place takes up to twice as long, measured.
Chunk NewChunk(size_t bytes) {
  constexpr size_t kPage = 4096;
  void* memory = nullptr;
  if (posix_memalign(&memory, kPage, bytes) != 0) throw std::bad_alloc();
  return Chunk(static_cast<char*>(memory), std::free);
}

class Copy {
 public:
  Copy(const FileCopyOrder& order, const FileCopyControl& control, FileCopyOutcome* outcome)
      : order_(order), control_(control), outcome_(*outcome) {}

  void Run() {
    const Descriptor source(OpenSource());
    const Descriptor target(order_.target.empty() ? -1 : OpenTarget());
    created_ = target.number() >= 0;
    try {
      Move(source.number(), target.number());
      if (created_ && SyncWhole(target.number()) != 0) Fail(Side::kTarget, "fsync");
    } catch (...) {
      // Swept later where it cannot be removed; the first error is the one to report.
      if (created_) (void)unlink(order_.target.c_str());
      throw;
    }
  }

 private:
  // Never a symbolic link, a pipe or a device, whatever a hostile repository holds.
  int OpenSource() {
    const int number = Uninterrupted(
        [&] { return open(order_.source.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); });
    if (number < 0) Fail(Side::kSource, "open");
    struct stat stats;
    const bool known = fstat(number, &stats) == 0;
    if (known && S_ISREG(stats.st_mode)) return number;
    const Failure failure = known ? Failure{Kind::kNotAFile, Side::kSource, S_ISDIR(stats.st_mode) ? EISDIR : 0, "open"}
                                  : Failure{Kind::kSystem, Side::kSource, errno, "fstat"};
    close(number);
    throw failure;
  }

  int OpenTarget() {
    const int number = Uninterrupted(
        [&] { return open(order_.target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode); });
    if (number < 0) Fail(Side::kTarget, "open");
    return number;
  }

  void Move(int source, int target) {
#ifdef POSIX_FADV_SEQUENTIAL
    (void)posix_fadvise(source, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
    const Chunk chunk = NewChunk(order_.chunk_bytes);
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    bool hashed = digest != nullptr && EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1;
    const int64_t wanted = order_.size_bytes < 0 ? INT64_MAX : order_.size_bytes;
    while (outcome_.bytes < wanted) {
      if (control_.cancel->load() != 0 || control_.stopping->load()) throw Failure{Kind::kCancelled, Side::kNone, 0, ""};
      const int64_t begun_ns = ProcessorTimeNs();
      const size_t ask = static_cast<size_t>(std::min<int64_t>(order_.chunk_bytes, wanted - outcome_.bytes));
      const ssize_t length = Uninterrupted([&] { return pread(source, chunk.get(), ask, outcome_.bytes); });
      if (length < 0) Fail(Side::kSource, "read");
      if (length == 0) break;
      hashed = hashed && EVP_DigestUpdate(digest.get(), chunk.get(), length) == 1;
      if (target >= 0) Write(target, chunk.get(), length);
      outcome_.bytes += length;
      control_.copied->store(outcome_.bytes);
      Rest(std::chrono::nanoseconds(ProcessorTimeNs() - begun_ns));
    }
    if (outcome_.bytes < wanted && order_.size_bytes >= 0) throw Failure{Kind::kShort, Side::kSource, 0, "read"};
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    hashed = hashed && EVP_DigestFinal_ex(digest.get(), bytes, &size) == 1;
    if (!hashed) throw Failure{Kind::kSystem, Side::kNone, ENOMEM, "sha256"};
    outcome_.sha256.assign(reinterpret_cast<const char*>(bytes), size);
  }

  // Two cores may be two threads of one: what is busy here slows down who is busy there, whatever the priorities are.
  void Rest(std::chrono::nanoseconds worked) {
    const int64_t percent = control_.rest->load();
    if (percent > 0) std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(worked * percent / 100, kLongestRest));
  }

  // At outcome_.bytes.
  void Write(int target, const char* bytes, ssize_t length) {
    for (ssize_t written = 0; written < length;) {
      const ssize_t more = Uninterrupted(
          [&] { return pwrite(target, bytes + written, length - written, outcome_.bytes + written); });
      if (more == 0) errno = EIO;
      if (more <= 0) Fail(Side::kTarget, "write");
      written += more;
    }
    const int64_t end = outcome_.bytes + length;
    if (end - synced_ >= (writes_behind_ ? kSyncedBytes : kOnTheWayBytes)) {
      SyncData(target);
      synced_ = end;
      handed_over_ = end;
    } else if (writes_behind_ && end - handed_over_ >= kWriteBehindBytes) {
      writes_behind_ = WriteBehind(target, handed_over_, end);
      handed_over_ = end;
    }
  }

  const FileCopyOrder& order_;
  const FileCopyControl& control_;
  FileCopyOutcome& outcome_;
  bool created_ = false;
  bool writes_behind_ = true;
  int64_t handed_over_ = 0;
  int64_t synced_ = 0;
};

}  // namespace

FileCopyOutcome CopyFile(const FileCopyOrder& order, const FileCopyControl& control) {
  FileCopyOutcome outcome;
  try {
    Copy(order, control, &outcome).Run();
  } catch (const Failure& failure) {
    outcome.kind = failure.kind;
    outcome.side = failure.side;
    outcome.error = failure.error;
    outcome.call = failure.call;
  } catch (const std::bad_alloc&) {
    outcome.kind = Kind::kSystem;
    outcome.error = ENOMEM;
    outcome.call = "malloc";
  }
  return outcome;
}

}  // namespace cairn
