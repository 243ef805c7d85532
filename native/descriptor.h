// Calls on open files that the C library leaves to the caller.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace cairn {

// Closes on every way out, memory that ran out included.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  const int number_;
};

// Calls again what a signal interrupted.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// On macOS fsync leaves the bytes in the disk's own memory, as Node knows too.
inline int SyncWhole(int descriptor) {
#ifdef F_FULLFSYNC
  if (fcntl(descriptor, F_FULLFSYNC) == 0) return 0;
#endif
  return Uninterrupted([&] { return fsync(descriptor); });
}

}  // namespace cairn
