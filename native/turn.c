/*
 * One exchange with the kernel: send what is queued, see who is ready or sleep, read in a fair order. The arrays are shared
 * memory: words that steer are read once, and every offset is checked against the arena before use.
 */
#include "tapway.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* While ports are near, one of so many looks is at all of them, not only at the likely one, and at the wait set. */
#define LOOK_EVERY 8
/* After so many looks the processor is offered to others: whoever sends the answer may need it. */
#define YIELD_EVERY 16
/*
 * When the wait set has given nothing for so many looks, near ports are all there is: both are done less often, once in so many looks that
 * find nothing, and in so many turns (multiples of LOOK_EVERY).
 */
#define QUIET_LOOKS 64
#define QUIET_EVERY 64
#define QUIET_TURNS 16
/* Golden ratio of 2^32: looks in a row, times this, are spread; by their number alone every other one would find the same port first. */
#define SPREADING 0x9e3779b1u
/* Reading the clock takes a tenth of a look's time. */
#define CLOCK_EVERY 4

static int32_t clamp(int32_t value, int32_t low, int32_t high)
{
  return value < low ? low : value > high ? high : value;
}

/* A budget of zero or less is none. */
static int32_t budget(int32_t value)
{
  return value > 0 ? value : INT32_MAX;
}

int tw_gather(const struct tw_io *io, int32_t first, int32_t count, int32_t most, struct iovec *parts, size_t *total)
{
  size_t sum = 0;
  if (count < 1 || count > most || first < 0 || ((int64_t)first + count) * 2 > io->gather.length) return EINVAL;
  const int32_t *pair = io->gather.at + (size_t)first * 2;
  for (int32_t i = 0; i < count; i++, pair += 2) {
    const int32_t at = pair[0], length = pair[1];
    if (!tw_in_arena(io, at, length)) return EFAULT;
    parts[i] = (struct iovec){ .iov_base = io->arena + at, .iov_len = (size_t)length };
    sum += (size_t)length;
  }
  *total = sum;
  return 0;
}

static int send_gathered(const struct tw_io *io, int fd, int32_t first, int32_t count)
{
  struct iovec parts[TW_IOVECS];
  size_t total;
  const int error = tw_gather(io, first, count, TW_IOVECS, parts, &total);
  if (error != 0) return error;
  return tw_send_error(tw_call(SYS_writev, fd, parts, (size_t)count), total);
}

int tw_send_entry(struct tw_io *io, const int32_t *entry)
{
  const int fd = entry[TX_FD];
  const int32_t at = entry[TX_AT], length = entry[TX_LENGTH];
  if (entry[TX_KIND] == TX_WRITEV) return send_gathered(io, fd, at, length);
  if (entry[TX_KIND] == TX_SENDMSG) return tw_send_message(io, entry);
  if (entry[TX_KIND] != TX_WRITE) return EINVAL;
  if (!tw_in_arena(io, at, length)) return EFAULT;
  return tw_send_error(tw_call(SYS_write, fd, io->arena + at, (size_t)length), (size_t)length);
}

static void submit(struct tw_io *io)
{
  if (io->ring != NULL && io->ring->count > 0) tw_ring_go(io->ring);
}

/*
 * Sends what is queued, but what the ring has: that goes with the reads that follow, or before anybody waits. Ports that are near will be read at
 * once, so their reads count.
 */
static int32_t send_all(struct tw_io *io, const struct tw_round *r)
{
  const int32_t count = clamp(io->control.at[CTL_TX_COUNT], 0, io->tx.length / TX_STRIDE);
  if (count == 0) return 0;
  io->last_fd = io->tx.at[(size_t)(count - 1) * TX_STRIDE + TX_FD];
  if (!(r->without & SKIP_SPREAD) && tw_spread(io, r, count)) return count;
  const bool by_ring = tw_ring_pays(io, r, count + (r->slots > 0 ? io->near_count : 0));
  int32_t *entry = io->tx.at;
  for (int32_t i = 0; i < count; i++, entry += TX_STRIDE) {
    if (by_ring && tw_ring_send(io, io->ring, entry)) continue;
    submit(io); /* a flow may leave by two descriptors, a tunnel's socket and its uplink: all entries keep their order */
    entry[TX_ERRNO] = tw_send_entry(io, entry);
  }
  return count;
}

/* The results of what was sent: how many failed, and devices that may be gone. */
static int32_t count_failed(struct tw_io *io, int32_t count)
{
  int32_t failed = 0;
  const int32_t *entry = io->tx.at;
  for (int32_t i = 0; i < count; i++, entry += TX_STRIDE) {
    const int error = entry[TX_ERRNO];
    if (error == 0) continue;
    failed++;
    if (error == ENETDOWN || error == ENXIO) tw_suspect(io, entry[TX_FD]);
  }
  return failed;
}

static int64_t microseconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Without a slot nothing can be read, and ready ports would end every sleep at once: only the eventfd counts then. */
static int look_for_event_fd(struct tw_io *io, int timeout_ms)
{
  struct pollfd watched = { .fd = io->event_fd, .events = POLLIN };
  if (poll(&watched, 1, timeout_ms) <= 0) return 0;
  io->events[0] = (struct epoll_event){ .events = EPOLLIN, .data.u64 = UINT64_MAX };
  return 1;
}

static int look(struct tw_io *io, int32_t slots, int timeout_ms)
{
  submit(io);
  if (slots == 0) return look_for_event_fd(io, timeout_ms);
  const int count = epoll_wait(io->epoll, io->events, TW_EVENTS, timeout_ms);
  io->looks++;
  if (count > 0) io->quiet = 0;
  else if (io->quiet < QUIET_LOOKS) io->quiet++;
  return count > 0 ? count : 0; /* EINTR: a turn in which nothing came */
}

/*
 * Half of what a turn may take is kept for the ports of the wait set, however much near ports have; of a single slot, every other turn's. So near
 * ports may go on filling all that they get.
 */
static void read_near_and_keep(struct tw_io *io, struct tw_round *r)
{
  const int32_t slots = r->slots, bytes = r->byte_budget;
  r->slots -= slots > 1 ? slots / 2 : (int32_t)(io->looks % 2);
  r->byte_budget /= 2;
  tw_near_read(io, r);
  r->slots = slots;
  r->byte_budget = bytes;
}

/*
 * Near ports, if there are any, are read: the likely one, every so many times all of them, and the wait set is asked; one that is quiet
 * only once in `quiet_every` times. Returns the number of events.
 */
static int look_near(struct tw_io *io, struct tw_round *r, unsigned times, unsigned quiet_every)
{
  if (io->near_count > 0 && r->slots > 0) {
    if (times % LOOK_EVERY != 0) {
      tw_near_read_likely(io, r);
      return 0;
    }
    if (io->quiet == QUIET_LOOKS && times % quiet_every != 0) {
      tw_near_read(io, r);
      return 0;
    }
    read_near_and_keep(io, r);
  }
  return look(io, r->slots, 0);
}

static int spin(struct tw_io *io, struct tw_round *r, int32_t spin_us)
{
  const int64_t end = microseconds() + spin_us;
  for (unsigned times = 1; times % CLOCK_EVERY != 0 || microseconds() < end; times++) {
    const int count = look_near(io, r, times, QUIET_EVERY);
    if (count > 0 || r->count > 0) return count;
    if (times % (io->quiet == QUIET_LOOKS ? QUIET_EVERY : YIELD_EVERY) == 0 && !(r->without & SKIP_YIELD)) sched_yield();
  }
  return 0;
}

/*
 * Waits for readiness: at once, then polling for spin_us, then asleep. Returns the number of events; what near ports had has been
 * read then.
 */
static int wait_ready(struct tw_io *io, struct tw_round *r, int32_t spin_us, int32_t *slept)
{
  const int32_t asked = io->control.at[CTL_TIMEOUT_MS];
  const int32_t timeout_ms = asked < 0 || asked > TW_MAX_WAIT_MS ? TW_MAX_WAIT_MS : asked;
  *slept = 0;
  if (spin_us == 0 && r->slots > 0) tw_near_end(io, r);
  int count = look_near(io, r, io->turns, QUIET_TURNS);
  if (count > 0 || r->count > 0 || timeout_ms == 0) return count;
  if (spin_us > 0) count = spin(io, r, spin_us < timeout_ms * 1000 ? spin_us : timeout_ms * 1000);
  if (count > 0 || r->count > 0) return count;
  if (r->slots > 0) tw_near_end(io, r);
  if (r->count > 0) return 0;
  *slept = 1;
  return look(io, r->slots, timeout_ms);
}

static bool drain_event_fd(int fd)
{
  uint64_t value;
  return read(fd, &value, sizeof value) == (ssize_t)sizeof value;
}

/* The time goes into two words, as a double: a number handed to JavaScript would be an object of its own each turn. */
void tw_note_time(struct tw_io *io)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const double milliseconds = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
  memcpy(io->control.at + CTL_TIME, &milliseconds, sizeof milliseconds);
}

/* Ports of the wait set that are to be read together. */
struct ready {
  struct tw_reading readings[TW_READINGS];
  int count;
};

/* Reads them; what has just given something may be near from now on. */
static void read_ready(struct tw_io *io, struct ready *ready, struct tw_round *r, bool enters)
{
  tw_read_files(io, ready->readings, ready->count, r);
  for (int i = 0; enters && i < ready->count; i++)
    if (ready->readings[i].events == EPOLLIN) tw_near_enter(io, ready->readings[i].port);
  ready->count = 0;
}

/* Reads what is ready, in the order of events but for where it begins. True when the eventfd was signalled. */
static bool read_events(struct tw_io *io, int count, struct tw_round *r, bool enters)
{
  struct ready ready = { .count = 0 };
  bool woken = false;
  /* The kernel moves a level-triggered port to the end of its list, but within one batch somebody is always first. */
  const unsigned first = count > 0 ? (io->looks * SPREADING >> 16) % (unsigned)count : 0;
  for (int k = 0; k < count; k++) {
    const struct epoll_event *event = &io->events[(first + (unsigned)k) % (unsigned)count];
    if (event->data.u64 == UINT64_MAX) woken = drain_event_fd(io->event_fd);
    if (event->data.u64 >= io->port_count || io->ports[event->data.u64].state != PORT_WATCHED) continue;
    struct tw_port *port = &io->ports[event->data.u64];
    r->ready++;
    if (port->kind == PORT_FILE) ready.readings[ready.count++] = (struct tw_reading){ .port = port, .events = event->events };
    if (port->kind != PORT_FILE || ready.count == TW_READINGS) read_ready(io, &ready, r, enters);
    if (port->kind != PORT_FILE) tw_read_socket(io, port, event->events, r);
  }
  read_ready(io, &ready, r, enters);
  return woken;
}

int32_t tw_turn(struct tw_io *io)
{
  int32_t *control = io->control.at;
  struct tw_round r = {
    .slots = clamp(control[CTL_RX_SLOTS], 0, io->rx_slots.length),
    .slot_bytes = clamp(control[CTL_SLOT_BYTES], 0, INT32_MAX),
    .port_budget = budget(control[CTL_PORT_BUDGET]),
    .byte_budget = budget(control[CTL_BYTE_BUDGET]),
    .without = control[CTL_WITHOUT],
    .capacity = io->rx.length / RX_STRIDE
  };
  const int32_t spin_us = clamp(control[CTL_SPIN_US], 0, TW_MAX_WAIT_MS * 1000);
  int32_t slept;
  io->turns++;
  if (control[CTL_RING_LEAST] > 0 && io->ring != NULL) io->ring->least = control[CTL_RING_LEAST];
  const int32_t sent = send_all(io, &r);
  const int count = wait_ready(io, &r, spin_us, &slept);
  control[CTL_TX_FAILED] = count_failed(io, sent);
  control[CTL_WOKEN] = read_events(io, count, &r, spin_us > 0 && !(r.without & SKIP_NEAR));
  /* Not when nothing is to be received: nobody would read what this finds. */
  if (io->suspects > 0 && r.slots > 0 && (slept || io->turns % 64 == 0)) tw_check_suspects(io, &r);
  control[CTL_RX_COUNT] = r.count;
  control[CTL_SLEPT] = slept;
  control[CTL_EVENTS] = r.ready;
  tw_note_time(io);
  return r.count;
}
