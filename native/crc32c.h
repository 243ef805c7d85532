// CRC32c (Castagnoli), with the processor's instruction where it has one: the checksum of RocksDB's logs and of the
// records of a segment.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn {

// crc: what was returned for the bytes before these, 0 for the first.
uint32_t ExtendCrc32c(uint32_t crc, const char* data, size_t size);

}  // namespace cairn
