/*
 * Ports that are near: while the thread polls, those that gave something a moment ago. They are read without being asked whether
 * they are ready, and are out of the wait set, so that nobody who hands them a frame enters them there: each saves part of
 * a microsecond, twice a round trip. Before the thread sleeps, and when it no longer polls, all are in the wait set again.
 */
#include "tapway.h"

#include <errno.h>

/* A port that was read so often for nothing is not near any more: some errors only the wait set tells. */
#define EMPTY_READS 1024

/* Back into the wait set. When that fails the port is as good as gone: nobody would hear of it again. */
static void watch(struct tw_io *io, struct tw_port *port, struct tw_round *r)
{
  struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)(port - io->ports) };
  port->near = false;
  if (port->state != PORT_WATCHED || epoll_ctl(io->epoll, EPOLL_CTL_ADD, port->fd, &event) == 0) return;
  if (r != NULL && r->count < r->capacity) tw_report_gone(io, port, r, errno);
}

static void leave(struct tw_io *io, int32_t place, struct tw_round *r)
{
  struct tw_port *port = &io->ports[io->near[place]];
  io->near_count--;
  for (int32_t i = place; i < io->near_count; i++) io->near[i] = io->near[i + 1];
  watch(io, port, r);
}

/* Only what costs little to be read for nothing: recvmmsg prepares all its messages first. */
void tw_near_enter(struct tw_io *io, struct tw_port *port)
{
  if (io->near_count == TW_NEAR || port->kind != PORT_FILE || port->near || port->state != PORT_WATCHED) return;
  if (epoll_ctl(io->epoll, EPOLL_CTL_DEL, port->fd, NULL) < 0) return;
  port->near = true;
  port->empty = 0;
  io->near[io->near_count++] = (int32_t)(port - io->ports);
}

static void forget(struct tw_io *io, struct tw_port *port, struct tw_round *r)
{
  for (int32_t place = io->near_count - 1; place >= 0; place--)
    if (&io->ports[io->near[place]] == port) leave(io, place, r);
}

void tw_near_forget(struct tw_io *io, struct tw_port *port)
{
  forget(io, port, NULL);
}

void tw_near_end(struct tw_io *io, struct tw_round *r)
{
  while (io->near_count > 0) leave(io, io->near_count - 1, r);
}

/* Whoever was sent the last frame is the first to answer. */
static int32_t likely(const struct tw_io *io)
{
  for (int32_t place = io->near_count - 1; place > 0; place--)
    if (io->ports[io->near[place]].fd == io->last_fd) return place;
  return 0;
}

/* Reads near ports; one that has something else to say than that it is empty, or was empty for long, is not near any more. */
static void read_near(struct tw_io *io, struct tw_reading *readings, int count, struct tw_round *r)
{
  tw_read_files(io, readings, count, r);
  for (int i = 0; i < count; i++) {
    struct tw_port *port = readings[i].port;
    if (readings[i].frames > 0) {
      r->ready++;
      port->empty = 0;
    } else if (readings[i].error == EAGAIN) port->empty++;
    const bool wrong = readings[i].error != 0 && readings[i].error != EAGAIN;
    if (wrong || port->empty >= EMPTY_READS || port->state != PORT_WATCHED) forget(io, port, r);
  }
}

void tw_near_read_likely(struct tw_io *io, struct tw_round *r)
{
  struct tw_reading reading = { .port = &io->ports[io->near[likely(io)]] };
  read_near(io, &reading, 1, r);
}

/* Each time another one is the first: it may leave nothing to the others. */
void tw_near_read(struct tw_io *io, struct tw_round *r)
{
  const int count = io->near_count;
  if (r->slot >= r->slots) return; /* and who is the first next time does not depend on it */
  const unsigned first = io->near_reads++;
  struct tw_reading readings[TW_NEAR];
  for (int i = 0; i < count; i++)
    readings[i] = (struct tw_reading){ .port = &io->ports[io->near[(first + (unsigned)i) % (unsigned)count]] };
  read_near(io, readings, count, r);
}
