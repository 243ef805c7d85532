#include "info-log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <vector>

namespace cairn {
namespace {

constexpr size_t kMaxBytes = 10 << 20;

class InfoLog : public rocksdb::Logger {
 public:
  explicit InfoLog(const std::string& directory) : path_(directory + "/LOG") {}
  ~InfoLog() override {
    if (file_ >= 0) close(file_);
  }

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    const std::string line = Line(format, arguments);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (file_ >= 0 && bytes_ > kMaxBytes) {
      close(file_);
      file_ = -1;
    }
    if (file_ < 0) Open();
    if (file_ < 0) return;
    const ssize_t written = write(file_, line.data(), line.size());
    if (written > 0) bytes_ += static_cast<size_t>(written);
  }

  size_t GetLogFileSize() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
  }

 private:
  // The directory may not be there yet: then the next line tries again.
  void Open() {
    rename(path_.c_str(), (path_ + ".old").c_str());
    file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bytes_ = 0;
  }

  static std::string Line(const char* format, va_list arguments) {
    timeval now;
    gettimeofday(&now, nullptr);
    tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char head[64];
    const size_t length = strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(head + length, sizeof head - length, ".%06ldZ ", static_cast<long>(now.tv_usec));
    va_list again;
    va_copy(again, arguments);
    std::vector<char> text(512);
    const int needed = vsnprintf(text.data(), text.size(), format, arguments);
    if (needed >= static_cast<int>(text.size())) {
      text.resize(static_cast<size_t>(needed) + 1);
      vsnprintf(text.data(), text.size(), format, again);
    }
    va_end(again);
    std::string line = head;
    if (needed > 0) line.append(text.data(), static_cast<size_t>(needed));
    if (line.back() != '\n') line.push_back('\n');
    return line;
  }

  const std::string path_;
  mutable std::mutex mutex_;  // guards the rest
  int file_ = -1;
  size_t bytes_ = 0;
};

}  // namespace

std::shared_ptr<rocksdb::Logger> MakeInfoLog(const std::string& directory) {
  return std::make_shared<InfoLog>(directory);
}

}  // namespace cairn
