/*
 * The native part: system calls and errno for src/native.ts, which is the only file that loads it. Nothing here knows a
 * protocol, and nothing here ends the process: whatever fails becomes a JavaScript error or an errno in an array.
 */
#ifndef TAPWAY_H
#define TAPWAY_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* ---- errors (errors.c) ---- */

/* Why a piece of work failed; error 0 means it did not. Kept until the thread is back in its own namespace, then thrown. */
struct tw_failure {
  int error;           /* errno */
  const char *syscall; /* static string */
  const char *thing;   /* what it was done to; NULL: what the caller names */
  const char *text;    /* static string in place of strerror's */
  bool fatal;          /* the thread is left in a state it must not go on in */
};

/* Notes errno as the failure of `syscall` and returns false. */
bool tw_fail(struct tw_failure *failure, const char *syscall);
/* Throws an Error with code, errno (negative, as Node has it), syscall and, where it is, fatal. Always returns NULL. */
napi_value tw_throw(napi_env env, const struct tw_failure *failure, const char *thing);
napi_value tw_throw_errno(napi_env env, int error, const char *syscall, const char *thing);
napi_value tw_errno_name(napi_env env, napi_callback_info info);

/* Reads exactly `count` arguments; false, with a TypeError thrown, when there are fewer. */
bool tw_args(napi_env env, napi_callback_info info, size_t count, napi_value *argv, void **data);
bool tw_int32(napi_env env, napi_value value, int32_t *out);
bool tw_string(napi_env env, napi_value value, char *out, size_t size);
napi_value tw_number(napi_env env, double value);
napi_value tw_undefined(napi_env env);

/* ---- what an environment (the main thread or a worker) has opened (addon.c) ---- */

struct tw_io;

struct tw_env {
  int *fds;
  size_t fd_count, fd_capacity;
  struct tw_io *ios; /* list by tw_io.next */
  int references;    /* the environment itself and each I/O context */
};

struct tw_env *tw_env_of(napi_env env);
void tw_env_release(struct tw_env *state);
/* From here on the environment owns fd. False (errno ENOMEM, fd closed) when it cannot be noted. */
bool tw_own(struct tw_env *state, int fd);

/* ---- network namespaces (netns.c) ---- */

/* Work to be done inside a namespace: false after noting why not. */
typedef bool (*tw_work)(void *arg, struct tw_failure *failure);
/*
 * Runs `work` with the calling thread in the namespace of descriptor `netns` (-1: where it is) and comes back, all within
 * this call, so that no JavaScript ever runs in a foreign namespace. False after any failure; fatal when the way back failed.
 */
bool tw_in_netns(int netns, tw_work work, void *arg, struct tw_failure *failure);

/* ---- an I/O context (io.c, turn.c, sum.c) ---- */

/* Layout of the arrays: docstrings in src/native.ts, which has the same numbers. */
enum {
  CTL_TX_COUNT = 0, CTL_TIMEOUT_MS, CTL_SPIN_US, CTL_RX_SLOTS, CTL_PORT_BUDGET, CTL_BYTE_BUDGET, CTL_RX_COUNT,
  CTL_WOKEN, CTL_SLEPT, CTL_TX_FAILED, CTL_EVENTS, CTL_SLOT_BYTES, CTL_WORDS
};
enum { TX_KIND = 0, TX_FD, TX_AT, TX_LENGTH, TX_ERRNO = 7, TX_STRIDE = 8 };
enum { TX_WRITE = 0, TX_WRITEV = 1 };
enum { RX_TAG = 0, RX_SLOT, RX_LENGTH, RX_FLAGS, RX_STRIDE = 4 };
enum { RX_FULL = 1 };
#define TW_EVENTS 256
#define TW_IOVECS 128
#define TW_MAX_WAIT_MS 1000 /* a worker that blocks in native code cannot be terminated: never longer */

enum { PORT_FREE = 0, PORT_WATCHED, PORT_GONE };

struct tw_port {
  int32_t tag;
  int fd;
  int32_t header; /* bytes of virtio-net header before each frame */
  int state;
  int32_t burst;   /* frames read without asking whether there are more; 0 until it is known */
  unsigned capped; /* the turn in which it ended at `burst` with perhaps more to come */
};

/* A typed array of JavaScript: the memory lives as long as the reference. */
struct tw_words {
  int32_t *at;
  int32_t length;
  napi_ref reference;
};

struct tw_io {
  uint8_t *arena;
  size_t arena_length;
  napi_ref arena_reference;
  struct tw_words control, rx, rx_slots, tx, gather;
  int epoll, event_fd;
  struct tw_port *ports;
  size_t port_count, port_capacity;
  unsigned turns; /* counts turns; also says which ready port is read first */
  bool bad_slot;     /* a receive slot has no room or lies outside the arena */
  bool closed;
  int references;    /* functions that JavaScript may still call */
  struct tw_env *state;
  struct tw_io *next;
  struct epoll_event events[TW_EVENTS];
};

void tw_io_close_fds(struct tw_io *io);
/* One exchange: send, wait, read. Returns the number of rx entries. */
int32_t tw_turn(struct tw_io *io);
/* Takes a port off the wait set for good; its row stays until it is removed. */
void tw_port_gone(struct tw_io *io, struct tw_port *port);
uint16_t tw_sum16(const uint8_t *bytes, size_t length);

/* ---- what is exported ---- */

napi_value tw_open_netns(napi_env env, napi_callback_info info);
napi_value tw_set_link(napi_env env, napi_callback_info info);
napi_value tw_open_tap(napi_env env, napi_callback_info info);
napi_value tw_set_carrier(napi_env env, napi_callback_info info);
napi_value tw_create_io(napi_env env, napi_callback_info info);
napi_value tw_drop_capabilities(napi_env env, napi_callback_info info);
napi_value tw_current_capabilities(napi_env env, napi_callback_info info);
napi_value tw_set_sched_batch(napi_env env, napi_callback_info info);
napi_value tw_set_affinity(napi_env env, napi_callback_info info);
napi_value tw_thread_cpu_time(napi_env env, napi_callback_info info);

#endif
