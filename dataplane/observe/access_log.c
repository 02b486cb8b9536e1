/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/access_log.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CACHE_LINE_BYTES 64
#define HALF (DP_ACCESS_LOG_RING_BYTES / 2)
#define BLOCKED_POLL_MS 100
#define BLOCKED_POLLS_AT_CLOSE 20 /* then what is left is lost */

_Static_assert((DP_ACCESS_LOG_RING_BYTES & (DP_ACCESS_LOG_RING_BYTES - 1)) == 0,
               "positions are cut to the ring by a mask");

/* Bytes [tail, head) are to be written; both only grow. head always stands at the end of a line.
 * head and tail are stored and loaded in one order for all (seq_cst): either the worker sees that
 * the ring was empty, and wakes the writer, or the writer sees the line. */
struct ring {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t head; /* the worker's */
    _Atomic int64_t lines, dropped;                   /* the worker's */
    char *bytes;                                      /* owned */
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t tail; /* the writer's */
};

/* What the writer is wanted for. */
enum { WANTED_NOT, WANTED_SOON, WANTED_NOW };

struct dp_access_log {
    char *path; /* owned; NULL: stdout */
    int file;   /* the writer's */
    int event;  /* wakes the writer */
    atomic_int wanted;
    atomic_bool stop, reopen;
    bool is_cut; /* the writer's: the last line in the file is not whole */
    _Atomic int64_t lost;
    struct gw_log_limit complaints;
    pthread_t writer;
    unsigned ring_count;
    struct ring rings[];
};

/* ---- workers */

static void wake(struct dp_access_log *log)
{
    uint64_t one = 1;
    ssize_t n = write(log->event, &one, sizeof(one));
    (void)n; /* it can only fail when the writer is about to wake anyway */
}

static void want(struct dp_access_log *log, int when)
{
    int before = WANTED_NOT;
    if (when == WANTED_SOON) {
        if (atomic_load(&log->wanted) == WANTED_NOT &&
            atomic_compare_exchange_strong(&log->wanted, &before, when))
            wake(log);
    } else if (atomic_exchange(&log->wanted, when) != when) {
        wake(log);
    }
}

static void copy_in(struct ring *ring, uint64_t at, gw_str line)
{
    size_t start = at & (DP_ACCESS_LOG_RING_BYTES - 1);
    size_t first = GW_MIN(line.len, DP_ACCESS_LOG_RING_BYTES - start);
    memcpy(ring->bytes + start, line.ptr, first);
    memcpy(ring->bytes, line.ptr + first, line.len - first);
}

/* One writer per counter: a load and a store do, without the bus lock of an atomic addition. */
static void count_one(_Atomic int64_t *counter)
{
    int64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + 1, memory_order_relaxed);
}

void dp_access_log_put(struct dp_access_log *log, unsigned worker, gw_str line)
{
    assert(worker < log->ring_count);
    assert(line.len > 0 && line.len <= DP_ACCESS_LOG_LINE_MAX && line.ptr[line.len - 1] == '\n');
    struct ring *ring = &log->rings[worker];
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (line.len > DP_ACCESS_LOG_RING_BYTES - (head - tail)) {
        count_one(&ring->dropped);
        return;
    }
    copy_in(ring, head, line);
    count_one(&ring->lines);
    atomic_store(&ring->head, head + line.len);
    tail = atomic_load(&ring->tail);
    if (tail == head)
        want(log, WANTED_SOON);
    if (head - tail < HALF && head - tail + line.len >= HALF)
        want(log, WANTED_NOW);
}

/* ---- the writer */

/* The file does not block, so that a reader who takes nothing cannot keep the agent from ending. */
static int open_file(const struct dp_access_log *log)
{
    const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK;
    if (log->path)
        return open(log->path, flags | O_CREAT, 0640);
    int fd = open("/proc/self/fd/1", flags); /* a description of its own: stdout keeps its mode */
    return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* False: the log is to close, and has waited long enough for a reader who took nothing. */
static bool wait_for_room(const struct dp_access_log *log, unsigned *ret_polls)
{
    struct pollfd file = {.fd = log->file, .events = POLLOUT};
    if (poll(&file, 1, BLOCKED_POLL_MS) != 0)
        *ret_polls = 0; /* there is room, or the write will tell what is the matter */
    else if (log->stop)
        ++*ret_polls;
    return *ret_polls < BLOCKED_POLLS_AT_CLOSE;
}

/* How many of the bytes were written; fewer than there are: errno. */
static size_t write_out(struct dp_access_log *log, gw_str bytes)
{
    size_t done = 0;
    unsigned polls = 0;
    while (done < bytes.len) {
        ssize_t n = write(log->file, bytes.ptr + done, bytes.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n == 0 || errno != EAGAIN || !wait_for_room(log, &polls))
            break;
    }
    if (done > 0)
        log->is_cut = bytes.ptr[done - 1] != '\n';
    return done;
}

static void lose(struct dp_access_log *log, gw_str bytes)
{
    int64_t lines = 0;
    for (size_t i = 0; i < bytes.len; i++)
        lines += bytes.ptr[i] == '\n';
    atomic_fetch_add_explicit(&log->lost, lines, memory_order_relaxed);
}

static void complain(struct dp_access_log *log, const char *message, int error)
{
    unsigned swallowed;
    if (gw_log_allow(&log->complaints, 1, &swallowed))
        gw_log(GW_LOG_ERROR, "access_log", message,
               gw_kv_text("file", log->path ? log->path : "stdout"),
               gw_kv_text("error", strerror(error)), gw_kv_int("swallowed", swallowed));
}

/* All lines that were in the ring when it was asked; more may have come meanwhile. */
static void drain(struct dp_access_log *log, struct ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t len = (size_t)(atomic_load(&ring->head) - tail);
    if (len == 0)
        return;
    size_t start = tail & (DP_ACCESS_LOG_RING_BYTES - 1);
    size_t first = GW_MIN(len, DP_ACCESS_LOG_RING_BYTES - start);
    gw_str parts[2] = {gw_str_n(ring->bytes + start, first), gw_str_n(ring->bytes, len - first)};
    bool works = !log->is_cut || write_out(log, GW_STR("\n")) == 1;
    for (unsigned i = 0; i < 2; i++) {
        size_t done = works ? write_out(log, parts[i]) : 0;
        if (works && done < parts[i].len)
            complain(log, "lines of the access log are lost", errno);
        works = works && done == parts[i].len;
        lose(log, gw_str_n(parts[i].ptr + done, parts[i].len - done));
    }
    atomic_store(&ring->tail, tail + len);
    uint64_t left = atomic_load(&ring->head) - tail - len;
    if (left > 0)
        want(log, left >= HALF ? WANTED_NOW : WANTED_SOON);
}

static void open_again(struct dp_access_log *log)
{
    int fd = log->path ? open_file(log) : -1;
    if (fd < 0) {
        if (log->path)
            complain(log, "the access log cannot be opened again, the old file stays", errno);
        return;
    }
    close(log->file);
    log->file = fd;
    log->is_cut = false;
}

/* 0 or more: milliseconds; -1: for ever. */
static void wait_for_event(const struct dp_access_log *log, int timeout_ms)
{
    uint64_t count;
    struct pollfd event = {.fd = log->event, .events = POLLIN};
    if (poll(&event, 1, timeout_ms) > 0) {
        ssize_t n = read(log->event, &count, sizeof(count));
        (void)n; /* readable: the count is reset */
    }
}

static void *run(void *arg)
{
    struct dp_access_log *log = arg;
    bool stop = false;
    while (!stop) {
        while (atomic_load(&log->wanted) == WANTED_NOT)
            wait_for_event(log, -1);
        if (atomic_load(&log->wanted) == WANTED_SOON)
            wait_for_event(log, DP_ACCESS_LOG_FLUSH_MS);
        atomic_store(&log->wanted, WANTED_NOT);
        stop = log->stop;
        for (unsigned i = 0; i < log->ring_count; i++)
            drain(log, &log->rings[i]);
        if (atomic_exchange(&log->reopen, false))
            open_again(log);
    }
    return NULL;
}

/* ---- life */

static void free_log(struct dp_access_log *log)
{
    for (unsigned i = 0; i < log->ring_count; i++)
        free(log->rings[i].bytes);
    if (log->file >= 0)
        close(log->file);
    if (log->event >= 0)
        close(log->event);
    free(log->path);
    free(log);
}

static struct dp_access_log *make(const char *target, unsigned worker_count)
{
    size_t size = sizeof(struct dp_access_log) + worker_count * sizeof(struct ring);
    struct dp_access_log *log = aligned_alloc(CACHE_LINE_BYTES, size);
    if (!log)
        gw_panic("out of memory: %zu bytes", size);
    memset(log, 0, size);
    log->path = strcmp(target, "-") == 0 ? NULL : gw_strdup(target);
    log->ring_count = worker_count;
    for (unsigned i = 0; i < worker_count; i++)
        log->rings[i].bytes = gw_malloc(DP_ACCESS_LOG_RING_BYTES);
    log->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    log->file = open_file(log);
    return log;
}

int dp_access_log_open(const char *target, unsigned worker_count, struct dp_access_log **ret_log,
                       struct gw_error *err)
{
    struct dp_access_log *log = make(target, worker_count);
    sigset_t all, before;
    if (log->event < 0 || log->file < 0) {
        (void)gw_fail(err, GW_UNAVAILABLE, "access log %s: %s", target, strerror(errno));
        free_log(log);
        return -1;
    }
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&log->writer, NULL, run, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        free_log(log);
        return gw_fail(err, GW_UNAVAILABLE, "access log: pthread_create: %s", strerror(result));
    }
    *ret_log = log;
    return 0;
}

void dp_access_log_close(struct dp_access_log *log)
{
    if (!log)
        return;
    log->stop = true;
    want(log, WANTED_NOW);
    pthread_join(log->writer, NULL);
    free_log(log);
}

void dp_access_log_reopen(struct dp_access_log *log)
{
    log->reopen = true;
    want(log, WANTED_NOW);
}

void dp_access_log_read_stats(const struct dp_access_log *log,
                              struct dp_access_log_stats *ret_stats)
{
    int64_t lost = atomic_load_explicit(&log->lost, memory_order_relaxed);
    *ret_stats = (struct dp_access_log_stats){.lines = -lost, .dropped = lost};
    for (unsigned i = 0; i < log->ring_count; i++) {
        const struct ring *ring = &log->rings[i];
        ret_stats->lines += atomic_load_explicit(&ring->lines, memory_order_relaxed);
        ret_stats->dropped += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    }
}
