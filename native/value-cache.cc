#include "value-cache.h"

#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <string_view>

namespace cairn {
namespace {

constexpr size_t kSmallest = 64 * 1024;
// A slot for every so many bytes of the ring: entries are seldom smaller.
constexpr size_t kBytesPerSlot = 64;

uint32_t HashOf(rocksdb::Slice key) {
  const size_t hash = std::hash<std::string_view>()(std::string_view(key.data(), key.size()));
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

size_t SizeOf(size_t key_length, size_t value_length) {
  return (sizeof(uint32_t) + 2 * sizeof(uint16_t) + key_length + value_length + 7) & ~size_t{7};
}

}  // namespace

ValueCache::ValueCache(size_t bytes) : capacity_(bytes < kSmallest ? kSmallest : bytes & ~size_t{7}) {
  // A place has 32 bits.
  const size_t largest = size_t{0xffffffff} * 8;
  if (capacity_ > largest) capacity_ = largest & ~size_t{7};
  size_t buckets = 1;
  while (buckets * kSlots * kBytesPerSlot < capacity_) buckets *= 2;
  bucket_mask_ = buckets - 1;
  const size_t slot_bytes = buckets * kSlots * sizeof(Slot);
  ring_ = Mapping<char>(static_cast<char*>(Map(capacity_)), Unmap{capacity_});
  slots_ = Mapping<Slot>(static_cast<Slot*>(Map(slot_bytes)), Unmap{slot_bytes});
}

void* ValueCache::Map(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
  // Where the system refuses, it is slower and nothing else.
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

void ValueCache::Unmap::operator()(void* memory) const { munmap(memory, bytes); }

std::unique_ptr<ValueCache> ValueCache::Make(size_t bytes) {
  std::unique_ptr<ValueCache> cache(new ValueCache(bytes));
  if (cache->ring_ == nullptr || cache->slots_ == nullptr) return nullptr;
  return cache;
}

ValueCache::Known ValueCache::Get(rocksdb::Slice key, rocksdb::Slice* value) {
  const uint32_t hash = HashOf(key);
  const Slot* slot = Find(key, hash);
  if (slot == nullptr) {
    misses_++;
    return Known::kNothing;
  }
  hits_++;
  const Entry* entry = At(slot->place);
  if (entry->is_absent()) {
    if (IsOld(slot->place)) PutAbsent(key);
    return Known::kAbsent;
  }
  const char* bytes = reinterpret_cast<const char*>(entry + 1) + entry->key_length;
  if (!IsOld(slot->place)) {
    *value = rocksdb::Slice(bytes, entry->value_length);
    return Known::kValue;
  }
  moved_.assign(bytes, entry->value_length);
  *value = moved_;
  Put(key, moved_);
  return Known::kValue;
}

void ValueCache::Put(rocksdb::Slice key, rocksdb::Slice value) {
  const uint32_t hash = HashOf(key);
  Slot* slot = Find(key, hash);
  const bool keeps = key.size() <= kMaxKey && value.size() <= kMaxValue;
  if (slot != nullptr && keeps && !IsOld(slot->place)) {
    Entry* entry = At(slot->place);
    if (entry->value_length == value.size()) {
      std::memcpy(reinterpret_cast<char*>(entry + 1) + entry->key_length, value.data(), value.size());
      return;
    }
  }
  if (slot != nullptr) slot->place = 0;
  if (keeps) Append(hash, key, value, static_cast<uint16_t>(value.size()));
}

void ValueCache::PutAbsent(rocksdb::Slice key) {
  const uint32_t hash = HashOf(key);
  Slot* slot = Find(key, hash);
  if (slot != nullptr) slot->place = 0;
  if (key.size() <= kMaxKey) Append(hash, key, rocksdb::Slice("", 0), kAbsentLength);
}

void ValueCache::Erase(rocksdb::Slice key) {
  Slot* slot = Find(key, HashOf(key));
  if (slot != nullptr) slot->place = 0;
}

void ValueCache::Clear() {
  std::memset(slots_.get(), 0, (bucket_mask_ + 1) * kSlots * sizeof(Slot));
  head_ = tail_ = end_ = 0;
}

ValueCache::Slot* ValueCache::Find(rocksdb::Slice key, uint32_t hash) const {
  Slot* bucket = BucketOf(hash);
  for (size_t i = 0; i < kSlots; i++) {
    Slot& slot = bucket[i];
    if (slot.place == 0 || slot.hash != hash) continue;
    const Entry* entry = At(slot.place);
    if (entry->key_length == key.size() && std::memcmp(entry + 1, key.data(), key.size()) == 0) return &slot;
  }
  return nullptr;
}

size_t ValueCache::Age(uint32_t place) const {
  const size_t offset = (size_t{place} - 1) * 8;
  return offset < head_ ? head_ - offset : head_ + capacity_ - offset;
}

void ValueCache::Append(uint32_t hash, rocksdb::Slice key, rocksdb::Slice value, uint16_t value_length) {
  const size_t size = SizeOf(key.size(), value.size());
  Reserve(size);
  Slot* bucket = BucketOf(hash);
  Slot* target = bucket;
  for (size_t i = 0; i < kSlots; i++) {
    if (bucket[i].place == 0) {
      target = &bucket[i];
      break;
    }
    if (Age(bucket[i].place) > Age(target->place)) target = &bucket[i];
  }
  const auto place = static_cast<uint32_t>(head_ / 8 + 1);
  Entry* entry = At(place);
  *entry = {hash, static_cast<uint16_t>(key.size()), value_length};
  char* bytes = reinterpret_cast<char*>(entry + 1);
  std::memcpy(bytes, key.data(), key.size());
  std::memcpy(bytes + key.size(), value.data(), value.size());
  *target = {hash, place};
  head_ += size;
  if (head_ > used_) used_ = head_;
}

void ValueCache::Reserve(size_t bytes) {
  if (capacity_ - head_ < bytes) {
    // The rest of the ring stays unused in this round; what was left there of the one before goes.
    DropBefore(capacity_);
    tail_ = 0;
    end_ = head_;
    head_ = 0;
  }
  DropBefore(head_ + bytes);
}

void ValueCache::DropBefore(size_t until) {
  while (tail_ < end_ && tail_ < until) {
    const auto place = static_cast<uint32_t>(tail_ / 8 + 1);
    const Entry* entry = At(place);
    Slot* bucket = BucketOf(entry->hash);
    for (size_t i = 0; i < kSlots; i++) {
      if (bucket[i].place == place) bucket[i].place = 0;
    }
    tail_ += SizeOf(entry->key_length, entry->stored_length());
  }
}

}  // namespace cairn
