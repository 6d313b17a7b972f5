/*
 * The life of an I/O context. JavaScript holds its functions; each carries the context as its data and has a finalizer, so
 * the context lives as long as any of them can be called, and a call after close() is an error rather than a crash.
 */
#include "tapway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tw_io_close_fds(struct tw_io *io)
{
  io->closed = true;
  tw_spread_end(io);
  tw_ring_close(io->ring);
  io->ring = NULL;
  if (io->epoll >= 0) close(io->epoll);
  io->epoll = -1;
}

static void drop_words(napi_env env, struct tw_words *words)
{
  if (words->reference != NULL) napi_delete_reference(env, words->reference);
  *words = (struct tw_words){ .at = NULL };
}

static void close_io(napi_env env, struct tw_io *io)
{
  tw_io_close_fds(io);
  drop_words(env, &io->control);
  drop_words(env, &io->rx);
  drop_words(env, &io->rx_slots);
  drop_words(env, &io->tx);
  drop_words(env, &io->gather);
  drop_words(env, &io->addresses);
  drop_words(env, &io->sums);
  if (io->arena_reference != NULL) napi_delete_reference(env, io->arena_reference);
  io->arena_reference = NULL;
  io->arena = NULL;
  io->arena_length = 0;
  free(io->ports);
  io->ports = NULL;
  io->port_count = io->port_capacity = 0;
}

static void release_io(napi_env env, struct tw_io *io)
{
  if (--io->references > 0) return;
  close_io(env, io);
  struct tw_io **link = &io->state->ios;
  while (*link != NULL && *link != io) link = &(*link)->next;
  if (*link == io) *link = io->next;
  tw_env_release(io->state);
  free(io);
}

static void on_function_end(napi_env env, void *data, void *hint)
{
  (void)hint;
  release_io(env, data);
}

static bool io_of(napi_env env, napi_callback_info info, size_t count, napi_value *argv, struct tw_io **io)
{
  void *data = NULL;
  if (!tw_args(env, info, count, argv, &data)) return false;
  *io = data;
  if (!(*io)->closed) return true;
  napi_throw_error(env, "ERR_CLOSED", "the I/O context is closed");
  return false;
}

static struct tw_port *port_of(struct tw_io *io, int32_t tag)
{
  for (size_t i = 0; i < io->port_count; i++)
    if (io->ports[i].state != PORT_FREE && io->ports[i].tag == tag) return &io->ports[i];
  return NULL;
}

static struct tw_port *new_port(struct tw_io *io)
{
  for (size_t i = 0; i < io->port_count; i++)
    if (io->ports[i].state == PORT_FREE) return &io->ports[i];
  if (io->port_count == io->port_capacity) {
    size_t capacity = io->port_capacity == 0 ? 16 : io->port_capacity * 2;
    struct tw_port *ports = realloc(io->ports, capacity * sizeof *ports);
    if (ports == NULL) return NULL;
    io->ports = ports;
    io->port_capacity = capacity;
  }
  struct tw_port *port = &io->ports[io->port_count++];
  port->state = PORT_FREE;
  return port;
}

void tw_port_gone(struct tw_io *io, struct tw_port *port)
{
  epoll_ctl(io->epoll, EPOLL_CTL_DEL, port->fd, NULL);
  port->state = PORT_GONE;
  io->suspects -= port->suspect;
  port->suspect = false;
}

/* addPort(tag, fd, kind, header). A port for errors only is watched for no event: EPOLLERR comes without being asked for. */
static napi_value add_port(napi_env env, napi_callback_info info)
{
  napi_value argv[4];
  struct tw_io *io;
  int32_t tag, fd, kind, header;
  if (!io_of(env, info, 4, argv, &io) || !tw_int32(env, argv[0], &tag) || !tw_int32(env, argv[1], &fd) ||
      !tw_int32(env, argv[2], &kind) || !tw_int32(env, argv[3], &header))
    return NULL;
  if (header < 0 || header > 64 || kind < PORT_FILE || kind > PORT_ERRORS) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "kind must be 0 to 3, header 0 to 64");
    return NULL;
  }
  char thing[48];
  snprintf(thing, sizeof thing, "port %d", tag);
  if (port_of(io, tag) != NULL) {
    const struct tw_failure failure = { .error = EEXIST, .syscall = "addPort", .text = "the tag is in use" };
    return tw_throw(env, &failure, thing);
  }
  struct tw_port *port = new_port(io);
  if (port == NULL) return tw_throw_errno(env, ENOMEM, "addPort", thing);
  const uint32_t events = kind == PORT_ERRORS ? 0 : EPOLLIN;
  struct epoll_event event = { .events = events, .data.u64 = (uint64_t)(port - io->ports) };
  if (epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &event) < 0) return tw_throw_errno(env, errno, "epoll_ctl", thing);
  *port = (struct tw_port){ .tag = tag, .fd = fd, .kind = kind, .header = header, .state = PORT_WATCHED };
  return tw_undefined(env);
}

/* removePort(tag): false when there is none. To be called before the descriptor is closed. */
static napi_value remove_port(napi_env env, napi_callback_info info)
{
  napi_value argv[1], result;
  struct tw_io *io;
  int32_t tag;
  if (!io_of(env, info, 1, argv, &io) || !tw_int32(env, argv[0], &tag)) return NULL;
  struct tw_port *port = port_of(io, tag);
  if (port != NULL) {
    tw_near_forget(io, port);
    if (port->state == PORT_WATCHED) tw_port_gone(io, port);
    port->state = PORT_FREE;
  }
  return napi_get_boolean(env, port != NULL, &result) == napi_ok ? result : NULL;
}

/* turn(): the number of rx entries. */
static napi_value turn(napi_env env, napi_callback_info info)
{
  struct tw_io *io;
  napi_value result;
  if (!io_of(env, info, 0, NULL, &io)) return NULL;
  int32_t count = tw_turn(io);
  if (io->bad_slot) {
    io->bad_slot = false;
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "a receive slot has no room or lies outside the arena");
    return NULL;
  }
  return napi_create_int32(env, count, &result) == napi_ok ? result : NULL;
}

/* checksumPartial(offset, length) */
static napi_value checksum_partial(napi_env env, napi_callback_info info)
{
  napi_value argv[2], result;
  struct tw_io *io;
  int32_t at, length;
  if (!io_of(env, info, 2, argv, &io) || !tw_int32(env, argv[0], &at) || !tw_int32(env, argv[1], &length)) return NULL;
  if (at < 0 || length < 0 || (size_t)at + (size_t)length > io->arena_length) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "the bytes lie outside the arena");
    return NULL;
  }
  return napi_create_uint32(env, tw_sum16(io->arena + at, (size_t)length), &result) == napi_ok ? result : NULL;
}

/* sumRanges(count): each of the first `count` triples (arena offset, length, out) of sums gets its sum. */
static napi_value sum_ranges(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  struct tw_io *io;
  int32_t count;
  if (!io_of(env, info, 1, argv, &io) || !tw_int32(env, argv[0], &count)) return NULL;
  bool fits = count >= 0 && count <= io->sums.length / SUM_WORDS;
  int32_t *range = io->sums.at;
  for (int32_t i = 0; fits && i < count; i++, range += SUM_WORDS) {
    const int32_t at = range[0], length = range[1];
    fits = tw_in_arena(io, at, length);
    if (fits) range[2] = tw_sum16(io->arena + at, (size_t)length);
  }
  if (fits) return NULL; /* undefined */
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "a range lies outside the arena, or there are more than sums has");
  return NULL;
}

/* close(): may be called again. The ports' descriptors are not its own and stay open. */
static napi_value close_call(napi_env env, napi_callback_info info)
{
  void *io = NULL;
  if (!tw_args(env, info, 0, NULL, &io)) return NULL;
  close_io(env, io);
  return tw_undefined(env);
}

static bool take_array(napi_env env, napi_value value, napi_typedarray_type type, void **at, size_t *length, napi_ref *reference)
{
  napi_typedarray_type is;
  if (napi_get_typedarray_info(env, value, &is, length, at, NULL, NULL) == napi_ok && is == type && *at != NULL &&
      *length <= INT32_MAX && napi_create_reference(env, value, 1, reference) == napi_ok)
    return true;
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "the I/O arrays must be a non-empty Uint8Array and Int32Arrays");
  return false;
}

static bool take_words(napi_env env, napi_value value, struct tw_words *words)
{
  void *at = NULL;
  size_t length = 0;
  if (!take_array(env, value, napi_int32_array, &at, &length, &words->reference)) return false;
  words->at = at;
  words->length = (int32_t)length;
  return true;
}

static bool add_functions(napi_env env, napi_value object, struct tw_io *io)
{
  static const struct { const char *name; napi_callback call; } methods[] = {
    { "addPort", add_port }, { "removePort", remove_port }, { "turn", turn },
    { "checksumPartial", checksum_partial }, { "sumRanges", sum_ranges }, { "close", close_call }
  };
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    napi_value function;
    if (napi_create_function(env, methods[i].name, NAPI_AUTO_LENGTH, methods[i].call, io, &function) != napi_ok ||
        napi_add_finalizer(env, function, io, on_function_end, NULL, NULL) != napi_ok)
      return false;
    io->references++;
    if (napi_set_named_property(env, object, methods[i].name, function) != napi_ok) return false;
  }
  return true;
}

static bool watch_event_fd(napi_env env, struct tw_io *io)
{
  io->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (io->epoll < 0) {
    tw_throw_errno(env, errno, "epoll_create1", "I/O context");
    return false;
  }
  struct epoll_event event = { .events = EPOLLIN, .data.u64 = UINT64_MAX };
  if (io->event_fd < 0 || epoll_ctl(io->epoll, EPOLL_CTL_ADD, io->event_fd, &event) == 0) return true;
  tw_throw_errno(env, errno, "epoll_ctl", "event descriptor");
  return false;
}

/* createIo(arena, control, rx, rxSlots, tx, gather, addresses, sums, eventFd): an object with the functions above. */
napi_value tw_create_io(napi_env env, napi_callback_info info)
{
  napi_value argv[9], object;
  if (!tw_args(env, info, 9, argv, NULL)) return NULL;
  struct tw_io *io = calloc(1, sizeof *io);
  if (io == NULL) return tw_throw_errno(env, ENOMEM, "createIo", "I/O context");
  io->epoll = io->last_fd = -1;
  io->references = 1; /* this call's own */
  io->state = tw_env_of(env);
  io->state->references++;
  io->next = io->state->ios;
  io->state->ios = io;
  void *arena = NULL;
  int32_t event_fd;
  bool done = take_array(env, argv[0], napi_uint8_array, &arena, &io->arena_length, &io->arena_reference) &&
    take_words(env, argv[1], &io->control) && take_words(env, argv[2], &io->rx) && take_words(env, argv[3], &io->rx_slots) &&
    take_words(env, argv[4], &io->tx) && take_words(env, argv[5], &io->gather) &&
    take_words(env, argv[6], &io->addresses) && take_words(env, argv[7], &io->sums) && tw_int32(env, argv[8], &event_fd);
  if (done && io->control.length < CTL_WORDS) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "the control array is too short");
    done = false;
  }
  if (done) {
    io->arena = arena;
    io->event_fd = event_fd;
    tw_note_time(io);
    io->ring = tw_ring_open();
    done = watch_event_fd(env, io) && napi_create_object(env, &object) == napi_ok && add_functions(env, object, io);
  }
  release_io(env, io);
  return done ? object : NULL;
}
