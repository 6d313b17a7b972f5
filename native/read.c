/*
 * Reading TAPs: one after the other, each frame into a slot, by a call for each or by one for several (ring.c).
 */
#include "tapway.h"

#include <errno.h>

/* Reads of a port of which nobody knows how much it has; if that is not all, twice as many come next. */
#define FIRST_READS 4

/*
 * Why a port that gave nothing must leave the wait set, or 0 if it may stay. A device that was deleted keeps its descriptor
 * in an error state for ever: EPOLLERR each time, and EFAULT, then EBADFD from read (tun.c). Between the two, read may still
 * say EAGAIN.
 */
static int why_gone(ssize_t got, uint32_t events, bool first)
{
  if (got >= 0) return EIO; /* end of file, or less than the header */
  if (got != -EAGAIN && got != -EINTR) return (int)-got;
  return first && (events & (EPOLLERR | EPOLLHUP)) ? ENODEV : 0;
}

/*
 * How many frames to read. Asking a port that has been emptied costs a system call for nothing, so it is read as often as it
 * gave frames the last time; when it turns out to have had more, twice as often the next time. Level-triggered
 * readiness brings it back at once, so nothing is late.
 */
static int32_t burst_of(const struct tw_io *io, struct tw_port *port, const struct tw_round *r)
{
  if (port->burst == 0) return r->port_budget;
  if (port->capped + 1 == io->turns && port->burst < r->port_budget) port->burst *= 2;
  return port->burst < r->port_budget ? port->burst : r->port_budget;
}

void tw_report_gone(struct tw_io *io, struct tw_port *port, struct tw_round *r, int error)
{
  tw_port_gone(io, port);
  tw_put_entry(io, r, port->tag, -1, -error, 0);
}

/* Where the next frame would go, with the port's header before it; NULL when there is no place for it, or a wrong one. */
static uint8_t *place(struct tw_io *io, const struct tw_port *port, const struct tw_round *r, int32_t slot, size_t *room)
{
  if (slot >= r->slots) return NULL;
  const int64_t at = (int64_t)io->rx_slots.at[slot] - port->header;
  *room = (size_t)port->header + (size_t)r->slot_bytes;
  if (r->slot_bytes > 0 && tw_in_arena(io, at, (int64_t)*room)) return io->arena + at;
  io->bad_slot = true;
  return NULL;
}

/* What a read gave. False when it was no frame: the port has been emptied, or is gone, which is reported. */
static bool take(struct tw_io *io, struct tw_reading *reading, struct tw_round *r, int32_t slot, size_t room, ssize_t got)
{
  struct tw_port *port = reading->port;
  if (got > 0 && got >= port->header) {
    const int32_t length = (int32_t)got - port->header;
    /* A TAP cuts what does not fit and does not say so; a slot filled to the last byte is all there is to see. */
    tw_put_entry(io, r, port->tag, slot, length, (size_t)got == room ? RX_FULL : 0);
    r->bytes += length;
    port->frame = length > port->frame ? length : port->frame - (port->frame - length) / 4;
    reading->frames++;
    return true;
  }
  const int error = why_gone(got, reading->events, reading->frames == 0);
  reading->error = error == 0 ? EAGAIN : error;
  if (error != 0) tw_report_gone(io, port, r, error);
  return false;
}

/* What a port may be asked for in this turn. */
struct share {
  int32_t limit, left; /* reads that are allowed, and of them to be made */
  int32_t next;        /* to be submitted together */
  int32_t first, asked;
};

static void read_file(struct tw_io *io, struct tw_reading *reading, struct share *s, struct tw_round *r)
{
  for (; s->left > 0; s->left--) {
    size_t room;
    uint8_t *at = r->count < r->capacity && r->bytes < r->byte_budget ? place(io, reading->port, r, r->slot, &room) : NULL;
    if (at == NULL || !take(io, reading, r, r->slot, room, tw_call(SYS_read, reading->port->fd, at, room))) return;
    r->slot++;
  }
}

/* Queues reads of a port, not more than all limits allow when each gives as much as the last one did. */
static void ask(struct tw_io *io, const struct tw_reading *reading, struct share *s, const struct tw_round *r, int32_t *slot, int64_t *bytes)
{
  s->first = io->ring->count;
  s->asked = 0;
  for (; s->asked < s->next && s->asked < s->left && io->ring->count < TW_OPS; s->asked++) {
    size_t room;
    uint8_t *at = r->count + (*slot - r->slot) < r->capacity && *bytes < r->byte_budget ? place(io, reading->port, r, *slot, &room) : NULL;
    if (at == NULL) return;
    tw_ring_read(io->ring, reading->port->fd, at, room);
    *bytes += reading->port->frame > 0 ? reading->port->frame : r->slot_bytes;
    ++*slot;
  }
}

/* Takes what the reads gave: into slots from `slot` on, of which those stay free that got nothing. */
static int32_t take_all(struct tw_io *io, struct tw_reading *reading, struct share *s, struct tw_round *r, int32_t slot)
{
  int32_t used = 0;
  for (int32_t i = 0; i < s->asked; i++) {
    const struct tw_op *op = &io->ring->ops[s->first + i];
    if (reading->error != 0 && reading->error != EAGAIN) break;
    /* A frame may come between two reads, of which the first found none */
    if (take(io, reading, r, slot + i, op->length, op->result)) used = slot + i + 1;
  }
  s->left -= s->asked;
  s->next *= 2;
  return used;
}

static void read_by_ring(struct tw_io *io, struct tw_reading *readings, struct share *shares, int count, struct tw_round *r)
{
  if (io->ring->count > TW_OPS / 2) tw_ring_go(io->ring);
  for (;;) {
    int32_t slot = r->slot, used = r->slot, asked = 0;
    int64_t bytes = r->bytes;
    for (int i = 0; i < count; i++) {
      shares[i].asked = 0;
      if (readings[i].error == 0) ask(io, &readings[i], &shares[i], r, &slot, &bytes);
      asked += shares[i].asked;
    }
    if (io->ring->count > 0) tw_ring_go(io->ring);
    if (asked == 0) return;
    slot = r->slot;
    for (int i = 0; i < count; i++) {
      const int32_t last = take_all(io, &readings[i], &shares[i], r, slot);
      slot += shares[i].asked;
      if (last > used) used = last;
    }
    r->slot = used;
  }
}

/* How often the port is read the next time. */
static void remember(const struct tw_io *io, const struct tw_reading *reading, const struct tw_round *r, const struct share *s)
{
  struct tw_port *port = reading->port;
  if (reading->error == EAGAIN) port->burst = reading->frames == 0 ? 1 : reading->frames;
  if (reading->error != 0 || s->left > 0) return;
  port->burst = s->limit < r->port_budget ? s->limit : 0;
  port->capped = io->turns;
}

static void forget_bursts(struct tw_port *port, const struct tw_round *r)
{
  if (r->without & SKIP_BURSTS) port->burst = 0;
}

void tw_read_files(struct tw_io *io, struct tw_reading *readings, int count, struct tw_round *r)
{
  struct share shares[TW_READINGS];
  int32_t reads = 0;
  for (int i = 0; i < count; i++) {
    struct tw_port *port = readings[i].port;
    forget_bursts(port, r);
    const int32_t limit = burst_of(io, port, r);
    shares[i] = (struct share){ .limit = limit, .left = limit, .next = port->burst > 0 ? limit : FIRST_READS };
    reads += shares[i].next;
  }
  if (tw_ring_pays(io, r, reads)) read_by_ring(io, readings, shares, count, r);
  else for (int i = 0; i < count; i++) read_file(io, &readings[i], &shares[i], r);
  for (int i = 0; i < count; i++) remember(io, &readings[i], r, &shares[i]);
}

void tw_read_socket(struct tw_io *io, struct tw_port *port, uint32_t events, struct tw_round *r)
{
  forget_bursts(port, r);
  if (port->kind == PORT_PACKET) tw_read_packet(io, port, events, r);
  else tw_read_udp(io, port, events, r);
}
