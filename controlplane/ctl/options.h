/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of penstockctl: flags, environment, and what is left for the command. */
#ifndef CP_CTL_OPTIONS_H
#define CP_CTL_OPTIONS_H

#include "common/clock.h"
#include "common/rpc/client.h"

enum cp_output { CP_OUTPUT_TABLE, CP_OUTPUT_JSON, CP_OUTPUT_YAML, CP_OUTPUT_NAME, CP_OUTPUT_CSV };

#define CP_CTL_FILES_MAX 64
#define CP_CTL_TAGS_MAX 10 /* as many as an API can have */

/* Of audit events; NULL: not given. */
struct cp_filters {
    const char *resource, *principal, *method, *code, *since, *until;
    bool refused;
};

/* Of openapi import and export. NULL: not given. */
struct cp_openapi_flags {
    const char *backend, *spec;
    bool replace_backends, skip_parameters, strict, create_group, basic, extended;
};

/* How a control plane is reached; NULL: not said. */
struct cp_connection {
    const char *server, *ca_file, *cert_file, *key_file, *server_name, *token_file;
};
struct cp_connection_field {
    const char *flag, *environment;
    const char *key; /* in a file of contexts */
    size_t offset;
    bool is_file;
};
size_t cp_connection_fields(const struct cp_connection_field **ret_fields);
const char **cp_connection_slot(struct cp_connection *connection,
                                const struct cp_connection_field *field);

#define CP_CTL_FIELDS_MAX 51 /* one more than a debug call may have: the server says so */

/* Of debug; NULL: not given. */
struct cp_debug_options {
    const char *headers[CP_CTL_FIELDS_MAX], *query[CP_CTL_FIELDS_MAX];
    unsigned header_count, query_count;
    const char *data, *domain, *agent, *app_code_file;
    bool https;
};

struct cp_options {
    struct cp_connection connection; /* of flags, the environment and a context, in that order */
    struct cp_connection given;      /* of flags alone */
    const char *context;             /* --context; NULL: the current one, if any */
    struct json_t *config;           /* owned; what the connection borrows from */
    char *token;                     /* owned; NULL: none */
    enum cp_output output;
    gw_msec timeout_ms;
    const char *files[CP_CTL_FILES_MAX]; /* -f */
    unsigned file_count;
    char *tags[CP_CTL_TAGS_MAX]; /* --tag; borrowed from argv */
    unsigned tag_count;
    const char *environment; /* --env; NULL: RELEASE, or all */
    const char *description, *etag;
    const char *path;         /* --path; NULL: not given */
    const char *mode;         /* --mode: of openapi import, or of debug; likewise */
    const char *from, *group; /* --from ENVIRONMENT, --group; likewise */
    int64_t to;               /* --to N; 0: not given */
    struct cp_filters filters;
    struct cp_openapi_flags openapi;
    struct cp_debug_options debug;
    int64_t limit;   /* --limit N; -1: not given, 0: all */
    gw_msec wait_ms; /* --wait; 0: not given */
    bool dry_run;
    bool is_offline; /* --dry-run=client: the control plane is not asked */
    bool recursive, prune, watch;
    const char *managed_by;  /* NULL: not given */
    const char *secret_file; /* likewise */
    bool help, version;
    const char *command; /* NULL: none was given */
    char **args;         /* words after the command; borrowed from argv */
    int arg_count;
};

/* Marks err as a mistake in the command line: exit status 2. Returns -1. */
int cp_usage(struct gw_error *err);
bool cp_is_usage(const struct gw_error *err);

/* 0; -1 with err, a mistake in the command line. */
GW_MUST_CHECK int cp_options_parse(struct cp_options *options, int argc, char **argv,
                                   struct gw_error *err);
void cp_options_done(struct cp_options *options);
/* Flags with their environment variables and defaults. */
void cp_options_print(void);
/* The flags' names, for completion: NULL after the last. */
const char *cp_options_flag(unsigned index);
/* "-o", "--output": whether the next word is its value. */
bool cp_options_takes_value(const char *word);

/* "250ms", "10s", "2m": -1 for anything else. */
GW_MUST_CHECK int cp_duration_parse(gw_str text, gw_msec *ret_ms);

#endif
