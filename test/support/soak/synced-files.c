/*
 * Preloaded into a server: notes what it made durable, so that a power cut can be simulated afterwards. Every fsync and
 * fdatasync of a regular file that succeeded, and every file that begins empty, is one record in $CAIRN_TEST_SYNCED_FILES:
 *
 *   offset  bytes
 *   0       8      device
 *   8       8      inode
 *   16      8      length that is durable: what the file had before the call
 *
 * The journal is written with O_APPEND and not synced: it has to survive a killed process, which is all that happens to it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int journal = -1;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);

__attribute__((constructor)) static void begin(void) {
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_open = dlsym(RTLD_NEXT, "open");
  real_openat = dlsym(RTLD_NEXT, "openat");
  const char *path = getenv("CAIRN_TEST_SYNCED_FILES");
  if (path != NULL && real_open != NULL) journal = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(const struct stat *file, uint64_t length) {
  if (journal < 0 || !S_ISREG(file->st_mode)) return;
  uint64_t record[3] = {file->st_dev, file->st_ino, length};
  int kept = errno;
  /* A record that is lost only makes the power cut take more than it would have, which shows. */
  ssize_t written = write(journal, record, sizeof record);
  (void)written;
  errno = kept;
}

static int sync_file(int fd, int (*real)(int)) {
  struct stat file;
  int known = fstat(fd, &file);
  int result = real(fd);
  if (result == 0 && known == 0) note(&file, (uint64_t)file.st_size);
  return result;
}

int fsync(int fd) { return sync_file(fd, real_fsync); }
int fdatasync(int fd) { return sync_file(fd, real_fdatasync); }

/* An inode number may have been another file's. */
static int opened(int fd, int flags) {
  struct stat file;
  if (fd >= 0 && (flags & O_CREAT) != 0 && journal >= 0 && fstat(fd, &file) == 0 && file.st_size == 0) note(&file, 0);
  return fd;
}

#define MODE(flags, last)                       \
  mode_t mode = 0;                              \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list rest;                               \
    va_start(rest, last);                       \
    mode = va_arg(rest, mode_t);                \
    va_end(rest);                               \
  }

int open(const char *path, int flags, ...) {
  MODE(flags, flags)
  return opened(real_open(path, flags, mode), flags);
}

int open64(const char *path, int flags, ...) {
  MODE(flags, flags)
  return opened(real_open(path, flags, mode), flags);
}

int openat(int dir, const char *path, int flags, ...) {
  MODE(flags, flags)
  return opened(real_openat(dir, path, flags, mode), flags);
}

int openat64(int dir, const char *path, int flags, ...) {
  MODE(flags, flags)
  return opened(real_openat(dir, path, flags, mode), flags);
}
