/* The calling thread: its capabilities, its scheduling, its time. All of this is per thread in Linux. */
#include "tapway.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * dropCapabilities(): the raw system call, since libcap and setuid wrappers of libc act on all threads of the process.
 * Without no_new_privs a program started by this thread could get capabilities back (the user is still root).
 */
napi_value tw_drop_capabilities(napi_env env, napi_callback_info info)
{
  (void)info;
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
  memset(none, 0, sizeof none);
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
    return tw_throw_errno(env, errno, "prctl PR_CAP_AMBIENT", "this thread");
  if (syscall(SYS_capset, &header, none) < 0) return tw_throw_errno(env, errno, "capset", "this thread");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return tw_throw_errno(env, errno, "prctl PR_SET_NO_NEW_PRIVS", "this thread");
  return tw_undefined(env);
}

static bool set_bits(napi_env env, napi_value object, const char *name, uint32_t low, uint32_t high)
{
  napi_value bits;
  return napi_create_bigint_uint64(env, (uint64_t)high << 32 | low, &bits) == napi_ok &&
    napi_set_named_property(env, object, name, bits) == napi_ok;
}

/* currentCapabilities(): { effective, permitted, inheritable, ambient: bigint, noNewPrivs: boolean } of the calling thread. */
napi_value tw_current_capabilities(napi_env env, napi_callback_info info)
{
  (void)info;
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
  struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];
  memset(now, 0, sizeof now);
  if (syscall(SYS_capget, &header, now) < 0) return tw_throw_errno(env, errno, "capget", "this thread");
  uint32_t ambient[2] = { 0, 0 };
  for (int cap = 0; cap < 64; cap++)
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1) ambient[cap >> 5] |= 1u << (cap & 31);
  napi_value result, locked;
  if (napi_create_object(env, &result) != napi_ok || !set_bits(env, result, "effective", now[0].effective, now[1].effective) ||
      !set_bits(env, result, "permitted", now[0].permitted, now[1].permitted) ||
      !set_bits(env, result, "inheritable", now[0].inheritable, now[1].inheritable) ||
      !set_bits(env, result, "ambient", ambient[0], ambient[1]) ||
      napi_get_boolean(env, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, &locked) != napi_ok ||
      napi_set_named_property(env, result, "noNewPrivs", locked) != napi_ok)
    return NULL;
  return result;
}

/* setSchedBatch(on): SCHED_BATCH, or SCHED_OTHER again. */
napi_value tw_set_sched_batch(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  bool on;
  if (!tw_args(env, info, 1, argv, NULL)) return NULL;
  if (napi_get_value_bool(env, argv[0], &on) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "a boolean is expected");
    return NULL;
  }
  const struct sched_param parameters = { .sched_priority = 0 };
  if (sched_setscheduler(0, on ? SCHED_BATCH : SCHED_OTHER, &parameters) < 0)
    return tw_throw_errno(env, errno, "sched_setscheduler", on ? "SCHED_BATCH" : "SCHED_OTHER");
  return tw_undefined(env);
}

/* getAffinity(): the processors that the calling thread may run on, by number. */
napi_value tw_get_affinity(napi_env env, napi_callback_info info)
{
  (void)info;
  cpu_set_t set;
  napi_value result;
  if (sched_getaffinity(0, sizeof set, &set) < 0) return tw_throw_errno(env, errno, "sched_getaffinity", "this thread");
  if (napi_create_array(env, &result) != napi_ok) return NULL;
  uint32_t n = 0;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &set) && napi_set_element(env, result, n++, tw_number(env, (double)cpu)) != napi_ok) return NULL;
  return result;
}

/* setAffinity(cpus): the calling thread runs on these processors only, from now on. */
napi_value tw_set_affinity(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint32_t count;
  if (!tw_args(env, info, 1, argv, NULL)) return NULL;
  if (napi_get_array_length(env, argv[0], &count) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "an array of numbers is expected");
    return NULL;
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  for (uint32_t i = 0; i < count; i++) {
    napi_value each;
    int32_t cpu;
    if (napi_get_element(env, argv[0], i, &each) != napi_ok || !tw_int32(env, each, &cpu)) return NULL;
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET((size_t)cpu, &set); /* an empty set is EINVAL */
  }
  if (sched_setaffinity(0, sizeof set, &set) < 0) return tw_throw_errno(env, errno, "sched_setaffinity", "this thread");
  return tw_undefined(env);
}

/* threadCpuTime(): nanoseconds of processor time the calling thread has used. */
napi_value tw_thread_cpu_time(napi_env env, napi_callback_info info)
{
  (void)info;
  struct timespec now;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) < 0) return tw_throw_errno(env, errno, "clock_gettime", "this thread");
  return tw_number(env, (double)now.tv_sec * 1e9 + (double)now.tv_nsec);
}
