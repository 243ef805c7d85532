// Files below one directory, looked at from the directory that they lie in: by their whole path each would take twice as long. Links
// are followed neither in the place of a file nor of a directory on the way; in that of the root itself where its identity is known.
#pragma once

#include <napi.h>

#include <string>
#include <string_view>
#include <vector>

namespace cairn {

struct Root {
  std::string path;
  // "device-inode" of the directory that it has to be: another one of that name is not there. Empty: whichever it is.
  std::string identity;
};

class BelowRoot {
 public:
  explicit BelowRoot(const Root& root);
  ~BelowRoot();
  BelowRoot(const BelowRoot&) = delete;
  BelowRoot& operator=(const BelowRoot&) = delete;

  // Where a key lies: its directory, to be used with the `at` calls until the next one, and its name there. Fast where keys of one
  // directory follow each other.
  struct Place {
    int directory;  // below 0: missing, or none
    const char* name;
  };
  // key: ended by NUL.
  Place Find(std::string_view key);

  // The directory of a key, or of a prefix that ends with '/', to be read or synced: the caller closes it. Below 0: errno says why.
  int OpenDirectory(std::string_view key);

  // Itself; below 0: root_error says why. ESTALE: it is not there, or another one; nobody shall take that for a file that is missing.
  int root() const { return root_; }
  int root_error() const { return root_error_; }

 private:
  void Enter(std::string_view parent);
  void Leave();

  static int Open(const Root& root, int* error);

  int root_error_ = 0;
  const int root_;
  int error_ = 0;  // why directory_ is below 0
  bool entered_ = false;
  std::string parent_;
  int directory_ = -1;
};

// The first two arguments of a call from JavaScript: path, identity.
Root RootOf(const Napi::CallbackInfo& info);

// Keys that are each ended by NUL; they point into the text.
std::vector<std::string_view> SplitKeys(const std::string& text);

// The indexes of keys, those of one directory next to each other.
std::vector<size_t> ByDirectory(const std::vector<std::string_view>& keys);

}  // namespace cairn
