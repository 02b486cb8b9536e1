/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: the wall clock of one program, off by the seconds in a file ($CLOCK_OFFSET) that
 * may change at any moment. Monotonic clocks go on as they are. */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset; /* seconds; NULL: none */

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED)
        abort(); /* a test that would not test */
    offset = page;
    close(file);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(id, now);
    if (result == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (ret)
        *ret = exact.tv_sec;
    return exact.tv_sec;
}

/* ---- the kernel waits by its own clock */

static struct timespec to_kernel(const struct timespec *until)
{
    struct timespec at = *until;
    if (offset && at.tv_sec > 1000000000) /* no monotonic clock is that far */
        at.tv_sec -= *offset;
    return at;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    static int (*next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!next)
        next = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlvsym(
            RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    struct timespec at = to_kernel(until);
    return next(cond, mutex, &at);
}

/* Abseil, of gRPC, waits by futexes. */
long syscall(long number, ...)
{
    static long (*next)(long, ...);
    long word[6];
    struct timespec at;
    va_list rest;
    if (!next)
        next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        word[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_futex && word[1] & FUTEX_CLOCK_REALTIME && word[3]) {
        at = to_kernel((const struct timespec *)word[3]);
        word[3] = (long)&at;
    }
    return next(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}
