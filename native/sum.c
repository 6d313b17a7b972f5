/* The Internet checksum's sum (RFC 1071), as a byte kernel. */
#include "tapway.h"

#include <string.h>

static uint64_t word(const uint8_t *at)
{
  uint64_t w;
  memcpy(&w, at, sizeof w);
  return w;
}

/* Each addend is below 2^33, so no carry is lost for any length that an int32 can hold. */
static uint64_t sum_words(const uint8_t *at, size_t length)
{
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (; length >= 32; at += 32, length -= 32) {
    const uint64_t w = word(at), x = word(at + 8), y = word(at + 16), z = word(at + 24);
    a += (w & 0xffffffff) + (w >> 32);
    b += (x & 0xffffffff) + (x >> 32);
    c += (y & 0xffffffff) + (y >> 32);
    d += (z & 0xffffffff) + (z >> 32);
  }
  for (; length >= 8; at += 8, length -= 8) {
    const uint64_t w = word(at);
    a += (w & 0xffffffff) + (w >> 32);
  }
  uint64_t sum = a + b + c + d;
  if (length & 4) {
    uint32_t w;
    memcpy(&w, at, sizeof w);
    sum += w;
    at += 4;
  }
  if (length & 2) {
    uint16_t w;
    memcpy(&w, at, sizeof w);
    sum += w;
    at += 2;
  }
  if (length & 1) { /* padded with zero */
    const uint8_t last[2] = { *at, 0 };
    uint16_t w;
    memcpy(&w, last, sizeof w);
    sum += w;
  }
  return sum;
}

#ifdef __x86_64__
typedef uint64_t lanes __attribute__((vector_size(32), aligned(1), may_alias));

/*
 * Four words at once. `all` adds words modulo 2^64 and `high` their upper halves, so that all - (high << 32) is the sum of the
 * lower halves: three operations a word in place of four.
 */
__attribute__((target("avx2"))) static uint64_t sum_words_avx2(const uint8_t *at, size_t length)
{
  if (length < 64) return sum_words(at, length);
  typedef uint64_t sums __attribute__((vector_size(32)));
  sums all = { 0 }, high = { 0 }, all2 = { 0 }, high2 = { 0 };
  for (; length >= 128; at += 128, length -= 128) {
    const sums w = *(const lanes *)at, x = *(const lanes *)(at + 32), y = *(const lanes *)(at + 64), z = *(const lanes *)(at + 96);
    all += w;
    high += w >> 32;
    all2 += x;
    high2 += x >> 32;
    all += y;
    high += y >> 32;
    all2 += z;
    high2 += z >> 32;
  }
  for (; length >= 32; at += 32, length -= 32) {
    const sums w = *(const lanes *)at;
    all += w;
    high += w >> 32;
  }
  all += all2;
  high += high2;
  const uint64_t upper = high[0] + high[1] + high[2] + high[3];
  return upper + (all[0] + all[1] + all[2] + all[3] - (upper << 32)) + sum_words(at, length);
}
#endif

static uint64_t (*sum_of)(const uint8_t *, size_t) = sum_words;

#ifdef __x86_64__
__attribute__((constructor)) static void choose(void)
{
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) sum_of = sum_words_avx2;
}
#endif

/*
 * Folded one's-complement sum of 16-bit words in network order, an odd last byte padded with zero. Words are added as the
 * machine loads them: the sum of byte-swapped words is the byte-swapped sum (RFC 1071 section 2(B)).
 */
uint16_t tw_sum16(const uint8_t *bytes, size_t length)
{
  uint64_t sum = sum_of(bytes, length);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return (uint16_t)(sum << 8 | sum >> 8);
#else
  return (uint16_t)sum;
#endif
}
