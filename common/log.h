/* SPDX-License-Identifier: Apache-2.0 */
/* One line of JSON per event on stderr: time, level, component, message, typed fields. Messages are
 * constant, what varies goes into fields. Any thread. Never per request, never a secret. Who logs
 * never waits: a line that stderr does not take at once is lost, and counted. */
#ifndef GW_LOG_H
#define GW_LOG_H

#include "common/error.h"

enum gw_log_level { GW_LOG_DEBUG, GW_LOG_INFO, GW_LOG_WARN, GW_LOG_ERROR };

enum gw_log_kind { GW_LOG_STR, GW_LOG_INT, GW_LOG_BOOL, GW_LOG_FLOAT };

struct gw_log_field {
    const char *key;
    enum gw_log_kind kind;
    union {
        gw_str str;
        int64_t number;
        double real;
    };
};

#define gw_kv_str(k, v) ((struct gw_log_field){.key = (k), .kind = GW_LOG_STR, .str = (v)})
#define gw_kv_text(k, v) gw_kv_str((k), gw_str_from(v))
#define gw_kv_int(k, v)                                                                            \
    ((struct gw_log_field){.key = (k), .kind = GW_LOG_INT, .number = (int64_t)(v)})
#define gw_kv_bool(k, v) ((struct gw_log_field){.key = (k), .kind = GW_LOG_BOOL, .number = (v)})
#define gw_kv_float(k, v) ((struct gw_log_field){.key = (k), .kind = GW_LOG_FLOAT, .real = (v)})
/* code and message of an error */
#define gw_kv_error(err)                                                                           \
    gw_kv_text("code", gw_code_name((err)->code)), gw_kv_text("error", (err)->message)

/* gw_log(GW_LOG_INFO, "sync", "snapshot applied", gw_kv_int("revision", 812)); */
#define gw_log(level, component, message, ...)                                                     \
    gw_log_write((level), (component), (message), (struct gw_log_field[]){__VA_ARGS__},            \
                 sizeof((struct gw_log_field[]){__VA_ARGS__}) / sizeof(struct gw_log_field))

void gw_log_write(enum gw_log_level level, const char *component, const char *message,
                  const struct gw_log_field *fields, size_t count);
uint64_t gw_log_lost(void); /* lines, so far */
void gw_log_set_level(enum gw_log_level level);
/* "debug", "info", "warn", "error"; -1 for anything else. */
GW_MUST_CHECK int gw_log_level_from(gw_str name, enum gw_log_level *ret_level);

/* For what a peer can trigger: true at most `burst` times a second; the next true one reports in
 * *ret_dropped how many were swallowed. Statically allocate one per place; any thread. */
struct gw_log_limit {
    _Atomic uint64_t window; /* second << 32 | used in that second */
    _Atomic unsigned dropped;
};
bool gw_log_allow(struct gw_log_limit *limit, unsigned burst, unsigned *ret_dropped);

#endif
