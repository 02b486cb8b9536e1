/* SPDX-License-Identifier: Apache-2.0 */
/* A program's options, one row each: flag, environment variable, default, limits and doc. The row
 * is the parser, the validator, the help text and the reference page. Flag wins over environment.
 */
#ifndef GW_SETTINGS_H
#define GW_SETTINGS_H

#include "common/error.h"

enum gw_setting_kind {
    GW_SETTING_TEXT,     /* const char *; borrowed from argv, environ or the row */
    GW_SETTING_INT,      /* int64_t in min..max */
    GW_SETTING_BOOL,     /* bool: true/false, 1/0; a bare --flag is true */
    GW_SETTING_DURATION, /* gw_msec: "250ms", "15s", "5m", "1h" */
    GW_SETTING_BYTES,    /* int64_t: "12MiB", "64KiB", "1000" */
    GW_SETTING_HEADING,  /* no setting: the doc stands above the rows behind it in the help */
};

#define GW_SETTINGS_HEADING(text)                                                                  \
    {                                                                                              \
        .kind = GW_SETTING_HEADING, .doc = (text)                                                  \
    }

/* {"listen-http", GW_SETTING_TEXT, offsetof(struct x, listen_http), "0.0.0.0:8080", 0, 0, "..."} */
struct gw_setting {
    const char
        *flag; /* "listen-http": --listen-http, and PENSTOCK_LISTEN_HTTP in the environment */
    enum gw_setting_kind kind;
    size_t offset;
    const char *fallback;
    int64_t min, max; /* numbers, milliseconds or bytes; both 0: not bounded */
    const char *doc;  /* one line, starts with what it sets; unit and limits follow by themselves */
};

/* Fills target from defaults, environment and argv[1..]; "--flag=value" and "--flag value". A value
 * that does not parse, is out of range, or a flag that is not in the table fails and is named.
 * *ret_rest is the index in argv of the first word that is not an option ("--" ends the options).
 */
GW_MUST_CHECK int gw_settings_load(const struct gw_setting *rows, size_t count, void *target,
                                   int argc, char **argv, int *ret_rest, struct gw_error *err);
/* The help text: one paragraph per row. To stdout. */
void gw_settings_print_help(const struct gw_setting *rows, size_t count, const char *usage);

#endif
