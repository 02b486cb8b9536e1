/* SPDX-License-Identifier: Apache-2.0 */
/* Resources for people and for programs: table, json, yaml, name. Data goes to stdout. */
#ifndef CP_CTL_PRINT_H
#define CP_CTL_PRINT_H

#include "controlplane/ctl/kinds.h"
#include "controlplane/ctl/options.h"

struct cp_printer {
    const struct cp_ctl_kind *kind;
    enum cp_output output;
    bool is_list; /* json: an array, even of one */
    struct gw_arena *arena;
    gw_str *cells; /* owned; rows of columns, the header first */
    size_t rows, room;
    size_t count; /* resources so far */
};

void cp_print_begin(struct cp_printer *printer, const struct cp_ctl_kind *kind,
                    enum cp_output output, bool is_list, struct gw_arena *arena);
/* Also a cp_list_fn. */
void cp_print_resource(void *printer, ProtobufCMessage *resource);
/* Writes what was held back for the widths of columns. */
void cp_print_end(struct cp_printer *printer);
/* The other end: an error follows. */
void cp_print_abort(struct cp_printer *printer);

/* What a column shows: several values by comma, "-" for nothing. In the arena. */
gw_str cp_print_field(const ProtobufCMessage *message, const char *path, struct gw_arena *arena);

/* A whole message, JSON or YAML. */
void cp_print_message(const ProtobufCMessage *message, enum cp_output output,
                      struct gw_arena *arena);
/* stdout is a terminal, and NO_COLOR is not set. */
bool cp_has_colour(void);
/* "~ path: before -> after"; what was empty was not there. */
void cp_print_difference(const char *path, const char *before, const char *after, bool has_colour);

/* Errors go to stderr: message, code, and each violated field. */
void cp_print_error(const struct gw_error *err);
/* 0 ok, 1 error, 2 usage, 3 not found, 4 conflict, 5 unavailable, 6 not allowed. */
int cp_exit_status(const struct gw_error *err);

#endif
