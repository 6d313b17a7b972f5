/*
 * How far two processors are from each other: how long a cache line takes from the first that this process may use to the second and back. A virtual
 * machine's processors may share a cache or not, and its host moves them while it runs.
 * Prints one line of JSON, without "ns" where there is only one processor.
 *
 *   line [COUNT]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Alignas(128) atomic_int line; /* odd: for the second processor to answer */
static int count = 50000;
static int processors[2];

static void move_to(int processor)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static void *answer(void *unused)
{
  (void)unused;
  move_to(processors[1]);
  for (int i = 0; i <= count; i++) {
    while (atomic_load_explicit(&line, memory_order_acquire) != 2 * i + 1) {}
    atomic_store_explicit(&line, 2 * i + 2, memory_order_release);
  }
  return NULL;
}

static int64_t nanoseconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
  cpu_set_t set;
  pthread_t other;
  int found = 0;
  if (argc > 1) count = atoi(argv[1]);
  if (count < 1 || count > 100000000) {
    fprintf(stderr, "usage: line [COUNT]\n");
    return 2;
  }
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    perror("line: sched_getaffinity");
    return 1;
  }
  for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
    if (CPU_ISSET(i, &set)) processors[found++] = i;
  if (found < 2) {
    printf("{}\n");
    return 0;
  }
  move_to(processors[0]);
  if (pthread_create(&other, NULL, answer, NULL) != 0) {
    fprintf(stderr, "line: no second thread\n");
    return 1;
  }
  int64_t begin = 0;
  for (int i = 0; i <= count; i++) {
    atomic_store_explicit(&line, 2 * i + 1, memory_order_release);
    while (atomic_load_explicit(&line, memory_order_acquire) != 2 * i + 2) {}
    if (i == 0) begin = nanoseconds(); /* the second thread has begun */
  }
  printf("{\"ns\":%.1f}\n", (double)(nanoseconds() - begin) / count);
  return 0;
}
