/*
 * The native part: system calls and errno for src/native.ts, which is the only file that loads it. Nothing here knows a
 * protocol, and nothing here ends the process: whatever fails becomes a JavaScript error or an errno in an array.
 */
#ifndef TAPWAY_H
#define TAPWAY_H

#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

/* ---- an I/O context (io.c, turn.c, read.c, ring.c, spread.c, near.c, udp.c, packet.c, sum.c) ---- */

/* Layout of the arrays: docstrings in src/native.ts, which has the same numbers. */
enum {
  CTL_TX_COUNT = 0, CTL_TIMEOUT_MS, CTL_SPIN_US, CTL_RX_SLOTS, CTL_PORT_BUDGET, CTL_BYTE_BUDGET, CTL_RX_COUNT,
  CTL_WOKEN, CTL_SLEPT, CTL_TX_FAILED, CTL_EVENTS, CTL_SLOT_BYTES, CTL_GSO_FALLBACKS, CTL_RX_REFUSED, CTL_TIME,
  CTL_WITHOUT = 16, CTL_RING_LEAST, CTL_WORDS
};
/* Bits of CTL_WITHOUT: what is not to be done. */
enum { SKIP_YIELD = 1, SKIP_BURSTS = 2, SKIP_RECEIVE_BATCH = 4, SKIP_NEAR = 8, SKIP_SPREAD = 16, SKIP_RING = 32 };
enum { TX_KIND = 0, TX_FD, TX_AT, TX_LENGTH, TX_GSO, TX_ADDRESS, TX_TTL_TOS, TX_ERRNO, TX_STRIDE };
enum { TX_WRITE = 0, TX_WRITEV = 1, TX_SENDMSG = 2 };
enum { RX_TAG = 0, RX_SLOT, RX_LENGTH, RX_FLAGS, RX_STRIDE = 4 };
enum { RX_FULL = 1, RX_META = 2, RX_ERROR = 4, RX_VLAN = 8, RX_QINQ = 16 };
enum { ADDRESS_WORDS = 8, SUM_WORDS = 3 };
#define TW_EVENTS 256
#define TW_IOVECS 256      /* of a TX_WRITEV */
#define TW_SEND_IOVECS 512 /* of a TX_SENDMSG */
#define TW_BATCH 16        /* datagrams or frames of one recvmmsg */
#define TW_NEAR 4          /* ports that are near at once */
#define TW_READINGS 32     /* ports that are read together */
#define TW_OPS 256         /* operations of one io_uring_enter; a power of two */
#define TW_RING_PARTS 1024 /* ranges of their gathered writes; more than one entry may have */
#define TW_MAX_WAIT_MS 1000 /* a worker that blocks in native code cannot be terminated: never longer */

enum { PORT_FREE = 0, PORT_WATCHED, PORT_GONE };
enum { PORT_FILE = 0, PORT_UDP, PORT_PACKET, PORT_ERRORS };

struct tw_port {
  int32_t tag;
  int fd;
  int32_t kind;
  int32_t header; /* bytes of virtio-net header before each frame */
  int state;
  int32_t burst;   /* frames read without asking whether there are more; 0 until it is known */
  unsigned capped; /* the turn in which it ended at `burst` with perhaps more to come */
  bool near;       /* out of the wait set, read while the thread polls */
  int32_t empty;   /* reads in a row, while it was near, that gave nothing */
  int32_t frame;   /* bytes that a read may be expected to give, by the last frames; 0 when there were none */
  bool suspect;    /* PORT_PACKET: the device was down when last heard of, and may be gone */
};

/* Limits of a turn, and what of them is used. */
struct tw_round {
  int32_t slots, slot_bytes, port_budget, byte_budget, capacity;
  int32_t slot, count;
  int32_t ready;   /* ports that gave something, or were said to have */
  int32_t without; /* SKIP_ bits */
  int64_t bytes;
};

/* What one recvmmsg fills. */
struct tw_batch {
  struct mmsghdr messages[TW_BATCH];
  struct iovec parts[TW_BATCH];
  int32_t slots_at[TW_BATCH]; /* arena offset of each slot */
  _Alignas(struct cmsghdr) char control[TW_BATCH][128];
};

/* A typed array of JavaScript: the memory lives as long as the reference. */
struct tw_words {
  int32_t *at;
  int32_t length;
  napi_ref reference;
};

/* A read or a write that others are submitted with; its result is as the system call's, or -errno. */
struct tw_op {
  uint8_t code; /* IORING_OP_ */
  bool done;
  int fd;
  const void *at;
  size_t length; /* bytes, or of a gathered write ranges */
  size_t total;  /* bytes */
  int32_t *entry; /* the tx entry; NULL for a read */
  ssize_t result;
};

/* ring.c; belongs to the thread that opened it */
struct tw_ring {
  int fd;
  int least;  /* so many operations together take less than a call for each; INT_MAX: none do */
  int count;  /* operations that wait to be submitted */
  int part_count;
  unsigned *sq_tail, sq_mask, *cq_head, *cq_tail, cq_mask;
  struct io_uring_sqe *sqes;
  const struct io_uring_cqe *cqes;
  void *map;
  size_t map_bytes, sqe_bytes;
  struct tw_op ops[TW_OPS];
  struct iovec parts[TW_RING_PARTS];
};

/* A port to be read, and in the end what came of it. */
struct tw_reading {
  struct tw_port *port;
  uint32_t events; /* what epoll said; 0 when it was not asked */
  int32_t frames;
  int error; /* EAGAIN: it has been emptied; another one: it is gone, or something is wrong */
};

struct tw_spread; /* spread.c */

struct tw_io {
  uint8_t *arena;
  size_t arena_length;
  napi_ref arena_reference;
  struct tw_words control, rx, rx_slots, tx, gather, addresses, sums;
  int epoll, event_fd;
  struct tw_port *ports;
  size_t port_count, port_capacity;
  unsigned turns;      /* counts turns, */
  unsigned looks;      /* looks at the wait set, which say which ready port is read first, */
  unsigned near_reads; /* and readings of all near ports, which do so of these */
  int32_t near[TW_NEAR], near_count; /* indexes of ports */
  int last_fd;       /* the last frame was sent there */
  int quiet;         /* looks at the wait set in a row that found nothing, up to a bound (turn.c) */
  int32_t suspects;  /* ports that are suspect */
  bool bad_slot;     /* a receive slot has no room or lies outside the arena */
  bool closed;
  int references;    /* functions that JavaScript may still call */
  struct tw_ring *ring; /* NULL where there is no io_uring */
  struct tw_spread *spread; /* NULL before the first flood */
  bool alone;        /* no helper can be had for floods */
  struct tw_env *state;
  struct tw_io *next;
  struct epoll_event events[TW_EVENTS];
  struct tw_batch batch;
};

static inline bool tw_in_arena(const struct tw_io *io, int64_t at, int64_t length)
{
  return at >= 0 && length >= 0 && at + length <= (int64_t)io->arena_length;
}

/*
 * read(2), write(2) or writev(2) itself, by its SYS_ number; -errno when it fails. In a process with threads, those of the C library are cancellation
 * points, which costs more than the rest of what they do.
 */
static inline ssize_t tw_call(long number, int fd, const void *at, size_t length)
{
  const ssize_t got = syscall(number, fd, at, length);
  return got < 0 ? -errno : got;
}

/* The errno of a send of `total` bytes, or 0, by what it returned. A device that took less than the whole frame did not take the frame. */
static inline int tw_send_error(ssize_t sent, size_t total)
{
  return sent == (ssize_t)total ? 0 : sent < 0 ? (int)-sent : EMSGSIZE;
}

static inline void tw_put_entry(const struct tw_io *io, struct tw_round *r, int32_t tag, int32_t slot, int32_t length,
                                int32_t flags)
{
  int32_t *entry = io->rx.at + (size_t)r->count++ * RX_STRIDE;
  entry[RX_TAG] = tag;
  entry[RX_SLOT] = slot;
  entry[RX_LENGTH] = length;
  entry[RX_FLAGS] = flags;
}

void tw_io_close_fds(struct tw_io *io);
/* One exchange: send, wait, read. Returns the number of rx entries. */
int32_t tw_turn(struct tw_io *io);
/* Writes the monotonic time in milliseconds to CTL_TIME. */
void tw_note_time(struct tw_io *io);
/* Reads ports of PORT_FILE, and submits what is queued in the ring. */
void tw_read_files(struct tw_io *io, struct tw_reading *readings, int count, struct tw_round *r);
/* Reads a port of another kind. */
void tw_read_socket(struct tw_io *io, struct tw_port *port, uint32_t events, struct tw_round *r);
/* A ring of the calling thread, or NULL. */
struct tw_ring *tw_ring_open(void);
void tw_ring_close(struct tw_ring *ring);
/* Whether so many more operations are to be submitted together; always, when others wait. */
bool tw_ring_pays(const struct tw_io *io, const struct tw_round *r, int count);
/* Queues a tx entry; its TX_ERRNO is valid after tw_ring_go. False when it is none for a ring, or wrong. */
bool tw_ring_send(struct tw_io *io, struct tw_ring *ring, int32_t *entry);
/* Queues a read; there is room for it. */
void tw_ring_read(struct tw_ring *ring, int fd, void *at, size_t length);
/* Submits what is queued: done, by the order of queueing, when it returns. */
void tw_ring_go(struct tw_ring *ring);
/* Makes a port near that has just given something, if there is room for one more. */
void tw_near_enter(struct tw_io *io, struct tw_port *port);
/* Makes one port, or all, watched again. */
void tw_near_forget(struct tw_io *io, struct tw_port *port);
void tw_near_end(struct tw_io *io, struct tw_round *r);
/* Reads all near ports; or, when there are any, the one that the next frame is likely to come from. */
void tw_near_read(struct tw_io *io, struct tw_round *r);
void tw_near_read_likely(struct tw_io *io, struct tw_round *r);
/* Takes a port off the wait set for good; its row stays until it is removed. */
void tw_port_gone(struct tw_io *io, struct tw_port *port);
/* Fills `parts` from `count` (1 to `most`) pairs of `gather`; 0, or EINVAL or EFAULT. */
int tw_gather(const struct tw_io *io, int32_t first, int32_t count, int32_t most, struct iovec *parts, size_t *total);
/* A tx entry of kind TX_SENDMSG: 0 or an errno. */
int tw_send_message(struct tw_io *io, const int32_t *entry);
/* Any tx entry: 0 or an errno. A device that took less than the whole frame did not take the frame: EMSGSIZE. */
int tw_send_entry(struct tw_io *io, const int32_t *entry);
/* Sends the first `count` tx entries together with a helper thread, results in their TX_ERRNO; false, with nothing sent, when that does not pay. */
bool tw_spread(struct tw_io *io, const struct tw_round *r, int32_t count);
/* The helper, if there is one, ends. */
void tw_spread_end(struct tw_io *io);
/*
 * One recvmmsg into free slots, as many as the limits and `left` allow (`asked`). Each message begins `before` bytes before its
 * slot; with `named` the sender's address is put before that. Returns their number, 0 when there was no room, or -errno.
 */
int tw_receive(struct tw_io *io, const struct tw_port *port, const struct tw_round *r, int32_t before, bool named, int32_t left,
               int32_t *asked);
/* Takes a port off for good and says so in an rx entry. There is room for one. */
void tw_report_gone(struct tw_io *io, struct tw_port *port, struct tw_round *r, int error);
void tw_read_udp(struct tw_io *io, struct tw_port *port, uint32_t events, struct tw_round *r);
void tw_read_packet(struct tw_io *io, struct tw_port *port, uint32_t events, struct tw_round *r);
/* A write on a packet socket said that its device is down or gone. */
void tw_suspect(struct tw_io *io, int fd);
/* Looks whether the devices of suspect ports still exist. */
void tw_check_suspects(struct tw_io *io, struct tw_round *r);
uint16_t tw_sum16(const uint8_t *bytes, size_t length);

/* ---- sockets (udp_open.c, packet.c) ---- */

/* A buffer larger than the system allows everybody (option `force`) needs CAP_NET_ADMIN; without it, as much as is allowed. */
void tw_set_buffer(int fd, int force, int option, int bytes);

/* ---- what is exported ---- */

napi_value tw_open_netns(napi_env env, napi_callback_info info);
napi_value tw_set_link(napi_env env, napi_callback_info info);
napi_value tw_new_netns(napi_env env, napi_callback_info info);
napi_value tw_share_netns_folder(napi_env env, napi_callback_info info);
napi_value tw_name_netns(napi_env env, napi_callback_info info);
napi_value tw_write_sysctl(napi_env env, napi_callback_info info);
napi_value tw_rtnetlink(napi_env env, napi_callback_info info);
napi_value tw_open_tap(napi_env env, napi_callback_info info);
napi_value tw_open_udp(napi_env env, napi_callback_info info);
napi_value tw_open_packet(napi_env env, napi_callback_info info);
napi_value tw_set_carrier(napi_env env, napi_callback_info info);
napi_value tw_steer_tap(napi_env env, napi_callback_info info);
napi_value tw_create_io(napi_env env, napi_callback_info info);
napi_value tw_drop_capabilities(napi_env env, napi_callback_info info);
napi_value tw_current_capabilities(napi_env env, napi_callback_info info);
napi_value tw_set_sched_batch(napi_env env, napi_callback_info info);
napi_value tw_get_affinity(napi_env env, napi_callback_info info);
napi_value tw_set_affinity(napi_env env, napi_callback_info info);
napi_value tw_thread_cpu_time(napi_env env, napi_callback_info info);

#endif
