/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include "common/clock.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* One write(2) a line, and pipes keep writes up to PIPE_BUF (4096) whole: lines never mix. */
#define LINE_MAX_BYTES 4096
#define TAIL ",\"truncated\":true}\n"

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static _Atomic int least_level = GW_LOG_INFO;
static _Atomic uint64_t lost;

struct line {
    size_t len;
    bool full; /* something did not fit; what was begun is taken back by the caller */
    char text[LINE_MAX_BYTES];
};

static void put(struct line *line, gw_str s)
{
    if (line->full || s.len > LINE_MAX_BYTES - sizeof(TAIL) - line->len) {
        line->full = true;
        return;
    }
    if (s.len)
        memcpy(line->text + line->len, s.ptr, s.len);
    line->len += s.len;
}

static void GW_PRINTF(2, 3) putf(struct line *line, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    int written = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert(written >= 0 && (size_t)written < sizeof(text));
    put(line, gw_str_n(text, (size_t)written));
}

/* A JSON string; whatever the bytes are, the line parses. */
static void put_string(struct line *line, gw_str s)
{
    char scratch[8];
    put(line, GW_STR("\""));
    while (s.len && !line->full)
        put(line, gw_str_json_step(&s, scratch));
    put(line, GW_STR("\""));
}

static void put_value(struct line *line, const struct gw_log_field *field)
{
    switch (field->kind) {
    case GW_LOG_STR:
        put_string(line, field->str);
        break;
    case GW_LOG_INT:
        putf(line, "%lld", (long long)field->number);
        break;
    case GW_LOG_BOOL:
        put(line, field->number ? GW_STR("true") : GW_STR("false"));
        break;
    case GW_LOG_FLOAT:
        if (isfinite(field->real))
            putf(line, "%.15g", field->real);
        else
            put(line, GW_STR("null"));
        break;
    }
}

/* All of the field or nothing. */
static void put_field(struct line *line, const struct gw_log_field *field)
{
    size_t before = line->len;
    put(line, GW_STR(","));
    put_string(line, gw_str_from(field->key));
    put(line, GW_STR(":"));
    put_value(line, field);
    if (line->full)
        line->len = before;
}

static void put_head(struct line *line, enum gw_log_level level, const char *component)
{
    char now[GW_RFC3339_LEN + 1];
    gw_clock_to_rfc3339(gw_clock_wall_ms(), now);
    putf(line, "{\"time\":\"%s\",\"level\":\"%s\"", now, level_names[level]);
    put_field(line, &gw_kv_text("component", component));
}

static void put_tail(struct line *line)
{
    gw_str tail = line->full ? GW_STR(TAIL) : GW_STR("}\n");
    memcpy(line->text + line->len, tail.ptr, tail.len);
    line->len += tail.len;
}

/* False: nobody takes it now. Who reads a pipe may stand still, and a worker must not wait for
 * that: a pipe that is ready takes PIPE_BUF bytes at once, and the lock keeps other lines out
 * meanwhile. */
static bool try_write(const struct line *line)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    ssize_t n;
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
        return false;
    do
        n = write(STDERR_FILENO, line->text, line->len);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

static void emit(const struct line *line)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!try_write(line))
        atomic_fetch_add(&lost, 1);
    pthread_mutex_unlock(&lock);
}

uint64_t gw_log_lost(void)
{
    return atomic_load(&lost);
}

void gw_log_write(enum gw_log_level level, const char *component, const char *message,
                  const struct gw_log_field *fields, size_t count)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    struct line line; /* text is not initialised: only text[0..len) is read */
    line.len = 0;
    line.full = false;
    put_head(&line, level, component);
    put_field(&line, &gw_kv_text("message", message));
    for (size_t i = 0; i < count && !line.full; i++)
        put_field(&line, &fields[i]);
    put_tail(&line);
    emit(&line);
}

void gw_log_set_level(enum gw_log_level level)
{
    atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

int gw_log_level_from(gw_str name, enum gw_log_level *ret_level)
{
    for (unsigned i = 0; i < GW_ARRAY_LEN(level_names); i++) {
        if (!gw_str_eq(name, gw_str_from(level_names[i])))
            continue;
        *ret_level = (enum gw_log_level)i;
        return 0;
    }
    return -1;
}

bool gw_log_allow(struct gw_log_limit *limit, unsigned burst, unsigned *ret_dropped)
{
    uint64_t second = (uint64_t)(gw_clock_monotonic_ms() / 1000) << 32;
    uint64_t seen = atomic_load(&limit->window);
    uint64_t next;
    do {
        next = (seen & ~(uint64_t)UINT32_MAX) == second ? seen + 1 : second + 1;
        if ((next & UINT32_MAX) > burst) {
            atomic_fetch_add(&limit->dropped, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&limit->window, &seen, next));
    *ret_dropped = atomic_exchange(&limit->dropped, 0);
    return true;
}
