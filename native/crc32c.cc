#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace cairn {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected
constexpr size_t kSlices = 8;

using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

Tables MakeTables() {
  Tables tables;
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ kPolynomial : crc >> 1;
    tables[0][i] = crc;
  }
  for (size_t slice = 1; slice < kSlices; slice++) {
    for (size_t i = 0; i < 256; i++) {
      const uint32_t before = tables[slice - 1][i];
      tables[slice][i] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

// Eight bytes a step, on any processor.
uint32_t ExtendByTable(uint32_t crc, const char* data, size_t size) {
  static const Tables tables = MakeTables();
  const auto* bytes = reinterpret_cast<const unsigned char*>(data);
  for (; size >= kSlices; size -= kSlices, bytes += kSlices) {
    crc ^= static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 |
           static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[3]) << 24;
    crc = tables[7][crc & 0xff] ^ tables[6][crc >> 8 & 0xff] ^ tables[5][crc >> 16 & 0xff] ^ tables[4][crc >> 24] ^
          tables[3][bytes[4]] ^ tables[2][bytes[5]] ^ tables[1][bytes[6]] ^ tables[0][bytes[7]];
  }
  for (; size > 0; size--) crc = crc >> 8 ^ tables[0][(crc ^ *bytes++) & 0xff];
  return crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t crc, const char* data, size_t size) {
  uint64_t wide = crc;
  for (; size >= 8; size -= 8, data += 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; size > 0; size--) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*data++));
  return crc;
}

uint32_t Extend(uint32_t crc, const char* data, size_t size) {
  static const bool instruction = __builtin_cpu_supports("sse4.2");
  return instruction ? ExtendByInstruction(crc, data, size) : ExtendByTable(crc, data, size);
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

uint32_t Extend(uint32_t crc, const char* data, size_t size) {
  for (; size >= 8; size -= 8, data += 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    crc = __crc32cd(crc, word);
  }
  for (; size > 0; size--) crc = __crc32cb(crc, static_cast<unsigned char>(*data++));
  return crc;
}

#else

uint32_t Extend(uint32_t crc, const char* data, size_t size) { return ExtendByTable(crc, data, size); }

#endif

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, const char* data, size_t size) { return ~Extend(~crc, data, size); }

}  // namespace cairn
