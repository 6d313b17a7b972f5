/*
 * Registration, and what an environment has opened. State hangs on the environment, not on the process: the main thread and
 * each worker have their own, and what one has opened is closed when that one ends.
 */
#include "tapway.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct tw_env *tw_env_of(napi_env env)
{
  void *state = NULL;
  napi_get_instance_data(env, &state);
  return state;
}

void tw_env_release(struct tw_env *state)
{
  if (--state->references > 0) return;
  free(state->fds);
  free(state);
}

bool tw_own(struct tw_env *state, int fd)
{
  if (state->fd_count == state->fd_capacity) {
    size_t capacity = state->fd_capacity == 0 ? 16 : state->fd_capacity * 2;
    int *fds = realloc(state->fds, capacity * sizeof *fds);
    if (fds == NULL) {
      close(fd);
      errno = ENOMEM;
      return false;
    }
    state->fds = fds;
    state->fd_capacity = capacity;
  }
  state->fds[state->fd_count++] = fd;
  return true;
}

/* The environment ends. Finalizers of I/O contexts come later: memory stays, descriptors go. */
static void on_environment_end(void *arg)
{
  struct tw_env *state = arg;
  for (struct tw_io *io = state->ios; io != NULL; io = io->next) tw_io_close_fds(io);
  for (size_t i = 0; i < state->fd_count; i++) close(state->fds[i]);
  state->fd_count = 0;
}

static void on_state_end(napi_env env, void *data, void *hint)
{
  (void)env;
  (void)hint;
  tw_env_release(data);
}

/* close(fd): only of what this environment has opened; a number from elsewhere may by now be somebody else's file. */
static napi_value close_fd(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  int32_t fd;
  if (!tw_args(env, info, 1, argv, NULL) || !tw_int32(env, argv[0], &fd)) return NULL;
  struct tw_env *state = tw_env_of(env);
  for (size_t i = 0; i < state->fd_count; i++) {
    if (state->fds[i] != fd) continue;
    state->fds[i] = state->fds[--state->fd_count];
    close(fd);
    return tw_undefined(env);
  }
  char thing[32];
  snprintf(thing, sizeof thing, "%d", fd);
  const struct tw_failure failure = { .error = EBADF, .syscall = "close", .text = "not opened by this thread" };
  return tw_throw(env, &failure, thing);
}

/* Descriptors that several threads close, each the next one. */
struct closing {
  int *fds;
  size_t count;
  atomic_size_t next;
};

static void *close_next(void *arg)
{
  struct closing *closing = arg;
  for (size_t i; (i = atomic_fetch_add(&closing->next, 1)) < closing->count;) close(closing->fds[i]);
  return NULL;
}

#define CLOSERS 32

/*
 * closeAll(fds): those of them that this environment has opened. Closing a TAP waits until no processor can be using it any more (an RCU
 * grace period, 20 ms); for several the waits go on at the same time.
 */
static napi_value close_all(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  napi_typedarray_type type;
  size_t length;
  void *data;
  if (!tw_args(env, info, 1, argv, NULL)) return NULL;
  if (napi_get_typedarray_info(env, argv[0], &type, &length, &data, NULL, NULL) != napi_ok || type != napi_int32_array) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "an Int32Array is expected");
    return NULL;
  }
  struct tw_env *state = tw_env_of(env);
  struct closing closing = { .fds = length == 0 ? NULL : malloc(length * sizeof(int)) };
  if (length > 0 && closing.fds == NULL) return tw_throw_errno(env, ENOMEM, "close", "descriptors");
  for (size_t i = 0; i < length; i++) {
    for (size_t k = 0; k < state->fd_count; k++) {
      if (state->fds[k] != ((const int32_t *)data)[i]) continue;
      closing.fds[closing.count++] = state->fds[k];
      state->fds[k] = state->fds[--state->fd_count];
      break;
    }
  }
  pthread_t threads[CLOSERS];
  size_t started = 0;
  while (started < CLOSERS && started + 1 < closing.count && pthread_create(&threads[started], NULL, close_next, &closing) == 0) started++;
  close_next(&closing);
  for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
  free(closing.fds);
  return tw_undefined(env);
}

/* newEventFd(): a non-blocking eventfd, to wake a thread that sleeps in turn(). */
static napi_value new_event_fd(napi_env env, napi_callback_info info)
{
  (void)info;
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0 || !tw_own(tw_env_of(env), fd)) return tw_throw_errno(env, errno, "eventfd", "event descriptor");
  return tw_number(env, fd);
}

/* signal(fd): a full counter (EAGAIN) is a signal that is already there. */
static napi_value signal_event_fd(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  int32_t fd;
  if (!tw_args(env, info, 1, argv, NULL) || !tw_int32(env, argv[0], &fd)) return NULL;
  const uint64_t one = 1;
  if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN) return tw_throw_errno(env, errno, "write", "event descriptor");
  return tw_undefined(env);
}

static const struct {
  const char *name;
  napi_callback call;
} exported[] = {
  { "openNetns", tw_open_netns },
  { "openTap", tw_open_tap },
  { "openUdp", tw_open_udp },
  { "openPacket", tw_open_packet },
  { "setLink", tw_set_link },
  { "newNetns", tw_new_netns },
  { "shareNetnsFolder", tw_share_netns_folder },
  { "nameNetns", tw_name_netns },
  { "writeSysctl", tw_write_sysctl },
  { "rtnetlink", tw_rtnetlink },
  { "setCarrier", tw_set_carrier },
  { "steerTap", tw_steer_tap },
  { "close", close_fd },
  { "closeAll", close_all },
  { "newEventFd", new_event_fd },
  { "signal", signal_event_fd },
  { "createIo", tw_create_io },
  { "dropCapabilities", tw_drop_capabilities },
  { "currentCapabilities", tw_current_capabilities },
  { "setSchedBatch", tw_set_sched_batch },
  { "getAffinity", tw_get_affinity },
  { "setAffinity", tw_set_affinity },
  { "threadCpuTime", tw_thread_cpu_time }
};

static napi_value register_failed(napi_env env, const char *what)
{
  napi_throw_error(env, NULL, what);
  return NULL;
}

NAPI_MODULE_INIT()
{
  struct tw_env *state = calloc(1, sizeof *state);
  if (state == NULL) return register_failed(env, "out of memory");
  state->references = 1;
  if (napi_set_instance_data(env, state, on_state_end, NULL) != napi_ok) {
    free(state);
    return register_failed(env, "no place for the state of the native part");
  }
  if (napi_add_env_cleanup_hook(env, on_environment_end, state) != napi_ok) return register_failed(env, "no cleanup hook");
  for (size_t i = 0; i < sizeof exported / sizeof exported[0]; i++) {
    napi_value function;
    if (napi_create_function(env, exported[i].name, NAPI_AUTO_LENGTH, exported[i].call, NULL, &function) != napi_ok ||
        napi_set_named_property(env, exports, exported[i].name, function) != napi_ok)
      return register_failed(env, "cannot export a function");
  }
  return exports;
}
