/*
 * A file layer that fails, for the built server: preloaded, it stands between a program (Node and RocksDB alike) and the
 * C library, and lets the n-th operation on files under one directory fail. What is to fail is said in a file that test and
 * program have mapped, so a test can change it while the program runs.
 *
 *   FAILING_FILES_CONTROL   the mapped file, struct Control
 *   FAILING_FILES_UNDER     the directory, absolute, without links
 *
 * A sync that fails loses what was written to that descriptor since the last one that did not, as the page cache does:
 * those bytes are zeros from then on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum Kind { MAKE = 1, WRITE = 2, SYNC = 4, RENAME = 8, REMOVE = 16, READ = 32 };

struct Control {
  _Atomic uint32_t kinds;  /* which are counted, and may fail */
  _Atomic uint32_t seen;   /* how many there were */
  _Atomic uint32_t at;     /* the one that fails; 0: none */
  _Atomic uint32_t on;     /* not 0: those after it too */
  _Atomic uint32_t error;  /* errno */
  _Atomic uint32_t failed; /* how many did */
  char last[488];          /* the last that did */
};

enum { DESCRIPTORS = 65536 };

static struct Control *control;
static char under[PATH_MAX];
static _Atomic unsigned char watched[DESCRIPTORS];
/* What was written since the last sync: from, to. */
static _Atomic int64_t unsynced_from[DESCRIPTORS];
static _Atomic int64_t unsynced_to[DESCRIPTORS];

#define REAL(name) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAILING_FILES_CONTROL");
  const char *directory = getenv("FAILING_FILES_UNDER");
  if (path == NULL || directory == NULL) return;
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) abort();
  void *mapped = mmap(NULL, sizeof(struct Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) abort();
  close(file);
  snprintf(under, sizeof under, "%s", directory);
  control = mapped;
}

static int is_under(const char *path) {
  const size_t length = strlen(under);
  return control != NULL && path != NULL && strncmp(path, under, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* Whether this one fails: errno is set then. */
static int fails(enum Kind kind, const char *what, const char *path) {
  if ((control->kinds & kind) == 0) return 0;
  const uint32_t nth = atomic_fetch_add(&control->seen, 1) + 1;
  const uint32_t at = control->at;
  if (at == 0 || nth < at || (nth > at && control->on == 0)) return 0;
  atomic_fetch_add(&control->failed, 1);
  snprintf(control->last, sizeof control->last, "%s %s", what, path);
  errno = (int)control->error;
  return 1;
}

static void path_of(int file, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, size - 1);
  path[length < 0 ? 0 : length] = 0;
}

/* Where a name lies that is meant from a directory on: into `whole`, unless it is a path of its own. */
static const char *from_directory(int directory, const char *path, char whole[PATH_MAX]) {
  if (control == NULL || path == NULL || path[0] == '/' || directory < 0) return path;
  path_of(directory, whole, PATH_MAX / 2);
  const size_t length = strlen(whole);
  snprintf(whole + length, PATH_MAX - length, "/%s", path);
  return whole;
}

/* Who closes a descriptor without the C library leaves its number to another file, or a socket. */
static int is_watched(int file) {
  if (control == NULL || file < 0 || file >= DESCRIPTORS || !watched[file]) return 0;
  char path[PATH_MAX];
  path_of(file, path, sizeof path);
  if (is_under(path)) return 1;
  watched[file] = 0;
  return 0;
}

static int fails_on(enum Kind kind, const char *what, int file) {
  if (!is_watched(file) || (control->kinds & kind) == 0) return 0;
  char path[PATH_MAX];
  path_of(file, path, sizeof path);
  return fails(kind, what, path);
}

static void wrote(int file, int64_t from, int64_t length) {
  if (!is_watched(file) || length <= 0) return;
  if (from < unsynced_from[file]) unsynced_from[file] = from;
  if (from + length > unsynced_to[file]) unsynced_to[file] = from + length;
}

static void synced(int file) {
  unsynced_from[file] = INT64_MAX;
  unsynced_to[file] = 0;
}

static void lose_unsynced(int file) {
  static const char zeros[65536];
  const int saved = errno;
  int64_t at = unsynced_from[file];
  const int64_t end = unsynced_to[file];
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const int own = at < end ? open(link, O_WRONLY | O_CLOEXEC) : -1; /* the descriptor itself may append */
  REAL(pwrite);
  while (own >= 0 && at < end) {
    const size_t part = end - at < (int64_t)sizeof zeros ? (size_t)(end - at) : sizeof zeros;
    const ssize_t done = real(own, zeros, part, at);
    if (done <= 0) break;
    at += done;
  }
  if (own >= 0) close(own);
  synced(file);
  errno = saved;
}

static int opened(int file, const char *path, int flags) {
  if (file >= 0 && file < DESCRIPTORS) {
    synced(file);
    watched[file] = is_under(path) && (flags & O_PATH) == 0;
  }
  return file;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list rest; \
      va_start(rest, flags); \
      mode = va_arg(rest, mode_t); \
      va_end(rest); \
    } \
    REAL(name); \
    if (is_under(path) && (flags & O_CREAT) && fails(MAKE, "open", path)) return -1; \
    return opened(real(path, flags, mode), path, flags); \
  }
OPEN(open)
OPEN(open64)

int openat(int directory, const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  REAL(openat);
  char whole[PATH_MAX];
  const char *place = from_directory(directory, path, whole);
  if (is_under(place) && (flags & O_CREAT) && fails(MAKE, "open", place)) return -1;
  return opened(real(directory, path, flags, mode), place, flags);
}

int close(int file) {
  REAL(close);
  if (file >= 0 && file < DESCRIPTORS) watched[file] = 0;
  return real(file);
}

static int64_t position(int file) {
  const int flags = fcntl(file, F_GETFL);
  struct stat stats;
  if (flags >= 0 && (flags & O_APPEND) && fstat(file, &stats) == 0) return stats.st_size;
  return lseek(file, 0, SEEK_CUR);
}

ssize_t write(int file, const void *bytes, size_t length) {
  REAL(write);
  if (!is_watched(file)) return real(file, bytes, length);
  if (fails_on(WRITE, "write", file)) return -1;
  const int64_t from = position(file);
  const ssize_t done = real(file, bytes, length);
  wrote(file, from, done);
  return done;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  REAL(writev);
  if (!is_watched(file)) return real(file, parts, count);
  if (fails_on(WRITE, "writev", file)) return -1;
  const int64_t from = position(file);
  const ssize_t done = real(file, parts, count);
  wrote(file, from, done);
  return done;
}

#define AT_OFFSET(kind, name, type, parameter) \
  ssize_t name(int file, type bytes, parameter count, off_t offset) { \
    REAL(name); \
    if (fails_on(kind, #name, file)) return -1; \
    const ssize_t done = real(file, bytes, count, offset); \
    if (kind == WRITE) wrote(file, offset, done); \
    return done; \
  }
AT_OFFSET(WRITE, pwrite, const void *, size_t)
AT_OFFSET(WRITE, pwrite64, const void *, size_t)
AT_OFFSET(WRITE, pwritev, const struct iovec *, int)
AT_OFFSET(WRITE, pwritev64, const struct iovec *, int)
AT_OFFSET(READ, pread, void *, size_t)
AT_OFFSET(READ, pread64, void *, size_t)
AT_OFFSET(READ, preadv, const struct iovec *, int)
AT_OFFSET(READ, preadv64, const struct iovec *, int)

ssize_t read(int file, void *bytes, size_t length) {
  REAL(read);
  if (fails_on(READ, "read", file)) return -1;
  return real(file, bytes, length);
}

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t length, unsigned flags) {
  REAL(copy_file_range);
  if (fails_on(READ, "copy_file_range", from) || fails_on(WRITE, "copy_file_range", to)) return -1;
  const int64_t at = is_watched(to) ? (to_at != NULL ? *to_at : lseek(to, 0, SEEK_CUR)) : 0;
  const ssize_t done = real(from, from_at, to, to_at, length, flags);
  wrote(to, at, done);
  return done;
}

#define ON_DESCRIPTOR(name) \
  int name(int file) { \
    REAL(name); \
    if (fails_on(SYNC, #name, file)) { \
      lose_unsynced(file); \
      return -1; \
    } \
    const int result = real(file); \
    if (result == 0 && is_watched(file)) synced(file); \
    return result; \
  }
ON_DESCRIPTOR(fsync)
ON_DESCRIPTOR(fdatasync)

#define ON_LENGTH(name) \
  int name(int file, off_t length) { \
    REAL(name); \
    if (fails_on(WRITE, #name, file)) return -1; \
    return real(file, length); \
  }
ON_LENGTH(ftruncate)
ON_LENGTH(ftruncate64)

#define ON_TWO_PATHS(name) \
  int name(const char *from, const char *to) { \
    REAL(name); \
    if ((is_under(from) || is_under(to)) && fails(RENAME, #name, to)) return -1; \
    return real(from, to); \
  }
ON_TWO_PATHS(rename)
ON_TWO_PATHS(link)

int renameat(int from_root, const char *from, int to_root, const char *to) {
  REAL(renameat);
  char whole[PATH_MAX];
  const char *place = from_directory(to_root, to, whole);
  if (is_under(place) && fails(RENAME, "rename", place)) return -1;
  return real(from_root, from, to_root, to);
}

int linkat(int from_root, const char *from, int to_root, const char *to, int flags) {
  REAL(linkat);
  char whole[PATH_MAX];
  const char *place = from_directory(to_root, to, whole);
  if (is_under(place) && fails(RENAME, "link", place)) return -1;
  return real(from_root, from, to_root, to, flags);
}

int unlinkat(int directory, const char *path, int flags) {
  REAL(unlinkat);
  char whole[PATH_MAX];
  const char *place = from_directory(directory, path, whole);
  if (is_under(place) && fails(REMOVE, "unlink", place)) return -1;
  return real(directory, path, flags);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  REAL(renameat2);
  if ((is_under(from) || is_under(to)) && fails(RENAME, "renameat2", to)) return -1;
  return real(from_directory, from, to_directory, to, flags);
}

#define ON_PATH(name) \
  int name(const char *path) { \
    REAL(name); \
    if (is_under(path) && fails(REMOVE, #name, path)) return -1; \
    return real(path); \
  }
ON_PATH(unlink)
ON_PATH(rmdir)

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  if (is_under(path) && fails(MAKE, "mkdir", path)) return -1;
  return real(path, mode);
}
