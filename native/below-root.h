// Files below one directory, looked at from the directory that they lie in: by their whole path each would take twice as long. Links
// are followed neither in the place of a file nor of a directory on the way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cairn {

class BelowRoot {
 public:
  explicit BelowRoot(const std::string& root);
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

 private:
  void Enter(std::string_view parent);
  void Leave();

  const int root_;
  bool entered_ = false;
  std::string parent_;
  int directory_ = -1;
};

// Keys that are each ended by NUL; they point into the text.
std::vector<std::string_view> SplitKeys(const std::string& text);

// The indexes of keys, those of one directory next to each other.
std::vector<size_t> ByDirectory(const std::vector<std::string_view>& keys);

}  // namespace cairn
