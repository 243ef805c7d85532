// Small values that were read or written lately, and keys that were not there, by key: what getCached answers without asking RocksDB,
// whose way through the memtable and the blocks of several tables costs some microseconds.
//
//   buckets   8 slots each, one cache line: u32 hash, u32 place (offset / 8 + 1; 0: free)
//   ring      entries one behind the other, the oldest go first:
//             u32 hash | u16 key length | u16 value length (ffff: no such key) | key | value | up to 7 bytes of padding
//
// A bucket that is full loses its oldest entry, so that no choice of keys makes a search longer. An entry that is hit in the oldest
// eighth of the ring is put in front again. What was replaced stays in the ring, without a slot, until the ring comes round: the more of
// the ring is old, the more of it are such copies, and the sooner it comes round to what was not asked for lately.
// Memory is taken when it is first written to, in large pages where the system has them: each lookup is somewhere else, and with small
// ones it waits for the page tables as well. For one thread.
#pragma once

#include <rocksdb/slice.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace cairn {

class ValueCache {
 public:
  // Longer keys and values are not kept.
  static constexpr size_t kMaxKey = 1024;
  static constexpr size_t kMaxValue = 4096;

  // The ring has `bytes`, rounded; at least room for a few of the largest entries. nullptr: there is no memory for it.
  static std::unique_ptr<ValueCache> Make(size_t bytes);

  enum class Known { kNothing, kValue, kAbsent };
  // *value is set where it is known, and valid until the next call.
  Known Get(rocksdb::Slice key, rocksdb::Slice* value);
  // Keeps the value, or forgets the key where it cannot.
  void Put(rocksdb::Slice key, rocksdb::Slice value);
  // Keeps that there is no such key.
  void PutAbsent(rocksdb::Slice key);
  void Erase(rocksdb::Slice key);
  void Clear();

  // Bytes of the ring that were ever used.
  size_t used() const { return used_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  explicit ValueCache(size_t bytes);

  static constexpr uint16_t kAbsentLength = 0xffff;
  struct Entry {
    uint32_t hash;
    uint16_t key_length;
    uint16_t value_length;
    bool is_absent() const { return value_length == kAbsentLength; }
    size_t stored_length() const { return is_absent() ? 0 : value_length; }
  };
  struct Slot {
    uint32_t hash;
    uint32_t place;
  };
  // Of the system, zero, and taken when it is first written to.
  struct Unmap {
    size_t bytes;
    void operator()(void* memory) const;
  };
  template <typename T>
  using Mapping = std::unique_ptr<T, Unmap>;
  static void* Map(size_t bytes);
  static constexpr size_t kSlots = 8;

  Slot* BucketOf(uint32_t hash) const { return slots_.get() + (hash & bucket_mask_) * kSlots; }
  Slot* Find(rocksdb::Slice key, uint32_t hash) const;
  Entry* At(uint32_t place) const { return reinterpret_cast<Entry*>(ring_.get() + (size_t{place} - 1) * 8); }
  // How long ago it was written, in bytes of the ring.
  size_t Age(uint32_t place) const;
  bool IsOld(uint32_t place) const { return Age(place) > capacity_ - capacity_ / 8; }
  void Append(uint32_t hash, rocksdb::Slice key, rocksdb::Slice value, uint16_t value_length);
  // Makes room for so many bytes at head_.
  void Reserve(size_t bytes);
  // Drops entries of the round before that begin before `until`.
  void DropBefore(size_t until);

  size_t capacity_;
  size_t bucket_mask_;
  Mapping<char> ring_;
  Mapping<Slot> slots_;
  // Entries of this round lie before head_, where the next one goes; what is left of the round before, from tail_ to end_.
  size_t head_ = 0;
  size_t tail_ = 0;
  size_t end_ = 0;
  size_t used_ = 0;
  std::string moved_;
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
};

}  // namespace cairn
