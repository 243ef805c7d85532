#include "load-memtable.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <new>
#include <vector>

namespace cairn {
namespace {

constexpr size_t kTrailerBytes = 8;  // of an internal key: sequence and type
constexpr size_t kWindowBytes = 8;
// Fewer are compared as they are.
constexpr ptrdiff_t kFewEntries = 12;
// Whoever chooses keys could make each window tell but one of them from the others.
constexpr int kDeepest = 16;

// An entry, and the eight bytes of its user key that follow what those beside it have in common: most comparisons need no more.
struct Gathered {
  uint64_t window;
  rocksdb::KeyHandle entry;
};

// How many bytes two keys have in common, of which they have `length` for sure; no more than `most`.
size_t CommonLength(const rocksdb::Slice& a, const rocksdb::Slice& b, size_t length, size_t most) {
  const size_t end = std::min({a.size(), b.size(), most});
  while (length < end && a[length] == b[length]) length++;
  return std::min(length, end);
}

// Big endian, so that numbers order as the bytes do. A key that ends in it is filled up with zeros: the whole keys decide then.
uint64_t WindowOf(const rocksdb::Slice& key, size_t from) {
  uint64_t window = 0;
  for (size_t i = from; i < from + kWindowBytes; i++) {
    window = window << 8 | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0);
  }
  return window;
}

using InOrder = std::vector<Gathered>;
using KeyComparator = rocksdb::MemTableRep::KeyComparator;

const char* BytesOf(const Gathered& gathered) { return static_cast<const char*>(gathered.entry); }

// Over entries that are in order and stay as they are. Each lies somewhere else: the next ones are fetched while one is used.
class InOrderIterator : public rocksdb::MemTableRep::Iterator {
 public:
  InOrderIterator(const InOrder& entries, const KeyComparator& compare) : entries_(entries), compare_(compare) {}

  bool Valid() const override { return at_ < entries_.size(); }
  const char* key() const override { return BytesOf(entries_[at_]); }
  void Next() override {
    at_++;
    if (at_ + kAhead >= entries_.size()) return;
    const char* soon = BytesOf(entries_[at_ + kAhead]);
    for (size_t line = 0; line < kFetched; line += kCacheLine) __builtin_prefetch(soon + line);
  }
  // Before the first is nowhere, as after the last.
  void Prev() override { at_ = at_ == 0 ? entries_.size() : at_ - 1; }
  void Seek(const rocksdb::Slice& key, const char*) override { at_ = FirstFrom(key); }
  void SeekForPrev(const rocksdb::Slice& key, const char*) override {
    at_ = FirstFrom(key);
    if (!Valid() || compare_(this->key(), key) > 0) Prev();
  }
  void SeekToFirst() override { at_ = 0; }
  void SeekToLast() override { at_ = entries_.empty() ? 0 : entries_.size() - 1; }

 private:
  static constexpr size_t kAhead = 8;
  static constexpr size_t kCacheLine = 64;
  static constexpr size_t kFetched = 256;

  size_t FirstFrom(const rocksdb::Slice& key) const {
    const auto found = std::lower_bound(
        entries_.begin(), entries_.end(), key,
        [this](const Gathered& entry, const rocksdb::Slice& key) { return compare_(BytesOf(entry), key) < 0; });
    return static_cast<size_t>(found - entries_.begin());
  }

  const InOrder& entries_;
  const KeyComparator& compare_;
  size_t at_ = SIZE_MAX;
};

// In front of RocksDB's own skip list, in whose nodes entries lie from the beginning. They are linked there only where somebody looks
// before the memtable is complete, or looks for one key; a flush walks them in the order in which they were sorted.
class LoadMemTable : public rocksdb::MemTableRep {
 public:
  LoadMemTable(std::unique_ptr<rocksdb::MemTableRep> list, const KeyComparator& compare, rocksdb::Allocator* allocator)
      : MemTableRep(allocator), list_(std::move(list)), compare_(compare) {}

  rocksdb::KeyHandle Allocate(const size_t length, char** bytes) override { return list_->Allocate(length, bytes); }

  // Without memory the process ends: RocksDB would be left with a writer that never comes back.
  void Insert(rocksdb::KeyHandle handle) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    gathered_.push_back({0, handle});
    is_sorted_ = false;
    gathered_bytes_.store(gathered_.capacity() * sizeof(Gathered), std::memory_order_relaxed);
  }

  bool Contains(const char* key) const override { return Linked()->Contains(key); }

  void MarkReadOnly() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_complete_ = true;
    list_->MarkReadOnly();
  }

  void Get(const rocksdb::LookupKey& key, void* argument, bool (*found)(void* argument, const char* entry)) override {
    Linked()->Get(key, argument, found);
  }

  uint64_t ApproximateNumEntries(const rocksdb::Slice& from, const rocksdb::Slice& to) override {
    return Linked()->ApproximateNumEntries(from, to);
  }

  // Waits for nobody who sorts: RocksDB asks while it holds its own lock. Of a memtable that is complete it may not change.
  size_t ApproximateMemoryUsage() override {
    return list_->ApproximateMemoryUsage() + gathered_bytes_.load(std::memory_order_relaxed);
  }

  Iterator* GetIterator(rocksdb::Arena* arena) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      // Once some are linked, all have to be.
      if (is_complete_ && linked_ == 0) {
        Sort();
        if (arena == nullptr) return new InOrderIterator(gathered_, compare_);
        // Of an arena only its iterator is known outside RocksDB: such ones are destroyed, not freed, and lie here.
        iterators_.emplace_back();
        return new (&iterators_.back()) InOrderIterator(gathered_, compare_);
      }
    }
    return Linked()->GetIterator(arena);
  }

 private:
  using Place = InOrder::iterator;
  struct alignas(InOrderIterator) IteratorRoom {
    unsigned char bytes[sizeof(InOrderIterator)];
  };

  // The skip list with everything in it.
  rocksdb::MemTableRep* Linked() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (linked_ == gathered_.size()) return list_.get();
    // What is linked already comes first and stays there.
    if (linked_ == 0) {
      Sort();
    } else {
      Sort(gathered_.begin() + static_cast<ptrdiff_t>(linked_), gathered_.end(), 0, 0);
    }
    // One after the other in order, which the list notices. A hint would take memory, and a memtable that is complete may not grow.
    for (; linked_ < gathered_.size(); linked_++) list_->Insert(gathered_[linked_].entry);
    return list_.get();
  }

  void Sort() const {
    if (is_sorted_) return;
    Sort(gathered_.begin(), gathered_.end(), 0, 0);
    is_sorted_ = true;
  }

  // By windows first; what has the same one, by the windows after that.
  void Sort(Place begin, Place end, size_t from, int depth) const {
    if (end - begin < kFewEntries || depth == kDeepest) {
      std::sort(begin, end, [this](const Gathered& a, const Gathered& b) { return compare_(BytesOf(a), BytesOf(b)) < 0; });
      return;
    }
    const rocksdb::Slice first = UserKeyOf(*begin);
    size_t common = first.size();
    for (Place each = begin; each != end; ++each) common = CommonLength(first, UserKeyOf(*each), from, common);
    for (Place each = begin; each != end; ++each) each->window = WindowOf(UserKeyOf(*each), common);
    std::sort(begin, end, [](const Gathered& a, const Gathered& b) { return a.window < b.window; });
    for (Place run = begin; run != end;) {
      const Place next = std::find_if(run, end, [run](const Gathered& each) { return each.window != run->window; });
      // All of them alike: versions of one key, or keys that differ in zeros at their end.
      if (next - run > 1) Sort(run, next, common + kWindowBytes, next - run == end - begin ? kDeepest : depth + 1);
      run = next;
    }
  }

  // The handle of a skip list is where the entry's bytes are.
  rocksdb::Slice UserKeyOf(const Gathered& gathered) const {
    rocksdb::Slice key = compare_.decode_key(BytesOf(gathered));
    key.remove_suffix(kTrailerBytes);
    return key;
  }

  const std::unique_ptr<rocksdb::MemTableRep> list_;
  const KeyComparator& compare_;
  std::atomic<size_t> gathered_bytes_{0};
  mutable std::mutex mutex_;  // guards the rest, and what is linked into list_
  mutable InOrder gathered_;
  mutable bool is_sorted_ = true;
  // How many of gathered_, from its beginning, are in list_ as well.
  mutable size_t linked_ = 0;
  bool is_complete_ = false;
  std::deque<IteratorRoom> iterators_;
};

class LoadMemTableFactory : public rocksdb::MemTableRepFactory {
 public:
  using rocksdb::MemTableRepFactory::CreateMemTableRep;
  rocksdb::MemTableRep* CreateMemTableRep(const KeyComparator& compare, rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform* transform, rocksdb::Logger* logger) override {
    std::unique_ptr<rocksdb::MemTableRep> list(lists_.CreateMemTableRep(compare, allocator, transform, logger));
    return new LoadMemTable(std::move(list), compare, allocator);
  }

  const char* Name() const override { return "cairn.LoadMemTable"; }

 private:
  rocksdb::SkipListFactory lists_;
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> MakeLoadMemTable() { return std::make_shared<LoadMemTableFactory>(); }

}  // namespace cairn
