/* The Internet checksum's sum (RFC 1071), as a byte kernel. */
#include "tapway.h"

#include <string.h>

static uint64_t word(const uint8_t *at)
{
  uint64_t w;
  memcpy(&w, at, sizeof w);
  return w;
}

/*
 * Folded one's-complement sum of 16-bit words in network order, an odd last byte padded with zero. Words are added as the
 * machine loads them: the sum of byte-swapped words is the byte-swapped sum (RFC 1071 section 2(B)). Each addend is below
 * 2^33, so no carry is lost for any length that an int32 can hold.
 */
uint16_t tw_sum16(const uint8_t *bytes, size_t length)
{
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (; length >= 32; bytes += 32, length -= 32) {
    const uint64_t w0 = word(bytes), w1 = word(bytes + 8), w2 = word(bytes + 16), w3 = word(bytes + 24);
    a += (w0 & 0xffffffff) + (w0 >> 32);
    b += (w1 & 0xffffffff) + (w1 >> 32);
    c += (w2 & 0xffffffff) + (w2 >> 32);
    d += (w3 & 0xffffffff) + (w3 >> 32);
  }
  uint64_t sum = a + b + c + d;
  uint8_t rest[32] = { 0 };
  memcpy(rest, bytes, length);
  for (size_t i = 0; i < length; i += 8) {
    const uint64_t w = word(rest + i);
    sum += (w & 0xffffffff) + (w >> 32);
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return (uint16_t)(sum << 8 | sum >> 8);
#else
  return (uint16_t)sum;
#endif
}
