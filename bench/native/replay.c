/*
 * The wire of the pipeline benchmarks (bench/micro/replay-io.ts), as an addon: what reads and writes bytes is native there as it is in an
 * instance. Frames come from a list in memory; what is sent is taken; datagrams between two linked peers come back.
 *
 * create(arena, control, rx, rxSlots, tx, gather, addresses, counts, layout, peers): { load(words, ports, lengths), exchange() }. The arrays live
 * as long as the process. `layout` has the numbers that io-layout.ts and core/layout.ts give, in the order of the enum below.
 */
#include <node_api.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 13, ARRAYS = 10 };
enum { ARENA = 0, CONTROL, RX, RX_SLOTS, TX, GATHER, ADDRESSES, COUNTS, LAYOUT, PEERS };
enum {
  TX_COUNT = 0, TX_FAILED, SLOTS, RX_COUNT, TIME, TX_STRIDE, RX_STRIDE, ADDRESS_WORDS, TX_WRITEV, TX_SENDMSG, RX_META, VNET_HDR, DATAGRAM_LEAD, SENDER_LEAD
};
/* Words of `counts`. */
enum { ARRIVED = 0, SENT, SENDS };
/* Words of `peers`: of each of the two. */
enum { PEER_ADDRESS = 0, PEER_FAMILY_PORT, PEER_TAG, PEER_WORDS };

struct replay {
  void *at[ARRAYS];
  const int32_t *words, *ports, *lengths;
  size_t count, next;
};

static void *elements(napi_env env, napi_value value, size_t *length)
{
  void *at = NULL;
  napi_ref kept;
  if (napi_get_typedarray_info(env, value, NULL, length, &at, NULL, NULL) != napi_ok) return NULL;
  napi_create_reference(env, value, 1, &kept);
  return at;
}

static struct replay *arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv)
{
  void *replay = NULL;
  size_t got = count;
  napi_get_cb_info(env, info, &got, argv, NULL, &replay);
  if (got == count) return replay;
  napi_throw_type_error(env, NULL, "wrong number of arguments");
  return NULL;
}

static napi_value load(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  size_t length;
  struct replay *r = arguments(env, info, 3, argv);
  if (r == NULL) return NULL;
  r->words = elements(env, argv[0], &length);
  r->ports = elements(env, argv[1], &r->count);
  r->lengths = elements(env, argv[2], &length);
  r->next = 0;
  return NULL;
}

/* The datagrams of a tx entry, as arrival number `n` of this exchange, from the peer that is not their destination. NULL, or what is wrong. */
static const char *turn_back(struct replay *r, const int32_t *entry, int32_t n)
{
  const int32_t *layout = r->at[LAYOUT], *addresses = r->at[ADDRESSES], *gather = r->at[GATHER], *peers = r->at[PEERS];
  const int32_t slot = ((const int32_t *)r->at[RX_SLOTS])[n];
  uint8_t *arena = r->at[ARENA], *const begin = arena + slot - layout[DATAGRAM_LEAD], *to = begin;
  const int32_t address = addresses[entry[5] * layout[ADDRESS_WORDS] + 1];
  const int own = address == peers[PEER_ADDRESS] ? 0 : 1;
  const int32_t *peer = peers + own * PEER_WORDS, *sender = peers + (1 - own) * PEER_WORDS;
  if (address != peer[PEER_ADDRESS]) return "a datagram to an address that is nobody's";
  gather += (size_t)entry[2] * 2;
  for (int32_t i = 0; i < entry[3]; i++, gather += 2) {
    memcpy(to, arena + gather[0], (size_t)gather[1]);
    to += gather[1];
  }
  memcpy(arena + slot - layout[SENDER_LEAD], &sender[PEER_FAMILY_PORT], 4);
  memcpy(arena + slot - layout[SENDER_LEAD] + 4, &sender[PEER_ADDRESS], 4);
  int32_t *rx = (int32_t *)r->at[RX] + (size_t)n * (size_t)layout[RX_STRIDE];
  rx[0] = peer[PEER_TAG];
  rx[1] = n;
  rx[2] = (int32_t)(to - begin);
  rx[3] = layout[RX_META] | (int32_t)((uint32_t)entry[4] << 16);
  return NULL;
}

static const char *run(struct replay *r)
{
  const int32_t *layout = r->at[LAYOUT], *slots = r->at[RX_SLOTS], *tx = r->at[TX];
  int32_t *control = r->at[CONTROL], *rx = r->at[RX], back = 0;
  double *counts = r->at[COUNTS], time;
  const int32_t free_slots = control[layout[SLOTS]];
  memcpy(&time, control + layout[TIME], sizeof time);
  time += 0.01;
  memcpy(control + layout[TIME], &time, sizeof time);
  for (int32_t i = 0; i < control[layout[TX_COUNT]]; i++, tx += layout[TX_STRIDE]) {
    if (tx[0] != layout[TX_SENDMSG]) { /* a super-frame is gathered from as many parts as it has datagrams */
      counts[SENT] += tx[0] == layout[TX_WRITEV] ? tx[3] : 1;
      continue;
    }
    if (back >= free_slots) return "more was sent into the tunnel than can arrive at once";
    const char *wrong = turn_back(r, tx, back++);
    if (wrong != NULL) return wrong;
    counts[SENDS]++;
  }
  control[layout[TX_FAILED]] = 0;
  const int32_t all = r->count == 0 ? back : free_slots;
  for (int32_t i = back; i < all; i++) {
    int32_t *entry = rx + (size_t)i * (size_t)layout[RX_STRIDE];
    memcpy((uint8_t *)r->at[ARENA] + slots[i] - layout[VNET_HDR], r->words + r->next * WORDS, WORDS * 4);
    entry[0] = r->ports[r->next];
    entry[1] = i;
    entry[2] = r->lengths[r->next];
    entry[3] = 0;
    r->next = r->next + 1 == r->count ? 0 : r->next + 1;
  }
  counts[ARRIVED] += all - back;
  control[layout[RX_COUNT]] = all;
  return NULL;
}

static napi_value exchange(napi_env env, napi_callback_info info)
{
  struct replay *r = arguments(env, info, 0, NULL);
  const char *wrong = r == NULL ? NULL : run(r);
  if (wrong != NULL) napi_throw_error(env, NULL, wrong);
  return NULL;
}

static napi_value create(napi_env env, napi_callback_info info)
{
  static const struct { const char *name; napi_callback call; } methods[] = { { "load", load }, { "exchange", exchange } };
  napi_value argv[ARRAYS], object, function;
  size_t count = ARRAYS, length;
  struct replay *r = calloc(1, sizeof *r);
  if (r == NULL || napi_get_cb_info(env, info, &count, argv, NULL, NULL) != napi_ok || count != ARRAYS) {
    napi_throw_type_error(env, NULL, "create wants ten arrays");
    return NULL;
  }
  for (int i = 0; i < ARRAYS; i++) r->at[i] = elements(env, argv[i], &length);
  napi_create_object(env, &object);
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    napi_create_function(env, methods[i].name, NAPI_AUTO_LENGTH, methods[i].call, r, &function);
    napi_set_named_property(env, object, methods[i].name, function);
  }
  return object;
}

NAPI_MODULE_INIT()
{
  napi_value function;
  napi_create_function(env, "create", NAPI_AUTO_LENGTH, create, NULL, &function);
  napi_set_named_property(env, exports, "create", function);
  return exports;
}
