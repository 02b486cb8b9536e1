/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/options.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/contexts.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVER_DEFAULT "127.0.0.1:9440"
#define TIMEOUT_DEFAULT_MS 30000
#define WAIT_DEFAULT_MS 10000
#define TOKEN_BYTES_MAX 4096

/* One row per flag: what getopt, the help and the completion know. */
struct flag {
    char letter; /* 0: none */
    const char *name;
    const char *value;       /* NULL: takes none; "[...]": optional */
    const char *environment; /* NULL: none */
    const char *doc;
};

static const struct flag flags[] = {
    {'s', "server", "HOST:PORT", "PENSTOCK_SERVER", "control plane (default " SERVER_DEFAULT ")"},
    {0, "ca", "FILE", "PENSTOCK_CA", "PEM: speak TLS and verify the server against it"},
    {0, "cert", "FILE", "PENSTOCK_CERT", "PEM: client certificate"},
    {0, "key", "FILE", "PENSTOCK_KEY", "PEM: its private key"},
    {0, "server-name", "NAME", "PENSTOCK_SERVER_NAME", "name the server's certificate must have"},
    {0, "token-file", "FILE", "PENSTOCK_TOKEN_FILE",
     "file with the bearer token (or PENSTOCK_TOKEN)"},
    {0, "context", "NAME", "PENSTOCK_CONTEXT",
     "of penstockctl config: server, TLS and token by name"},
    {'o', "output", "FORMAT", NULL, "table (default), json, yaml or name; audit-events: csv"},
    {0, "timeout", "TIME", NULL, "for each call, e.g. 5s (default 30s)"},
    {'f', "file", "FILE", NULL,
     "YAML or JSON, several documents, or a folder of such; - is stdin; may be repeated"},
    {'R', "recursive", NULL, NULL, "-f FOLDER: also what is in its folders"},
    {0, "managed-by", "NAME", NULL, "apply, diff: label of all that the files hold"},
    {0, "prune", NULL, NULL, "apply, diff: delete what has that label and is not in the files"},
    {'e', "env", "ENVIRONMENT", NULL, "environment (default RELEASE; history: all)"},
    {'m', "description", "TEXT", NULL, "shown in the history"},
    {0, "etag", "ETAG", NULL, "only if the resource is still at this etag"},
    {0, "from", "ENVIRONMENT", NULL, "environment to promote from"},
    {0, "tag", "TAG", NULL, "get apis, --group: only APIs that have it; may be repeated"},
    {0, "group", "GROUP", NULL, "all APIs of a group, to publish or unpublish; openapi"},
    {0, "path", "PATH", NULL, "path of a clone; debug: of the request (default /)"},
    {0, "to", "NUMBER", NULL, "release to roll back to"},
    {'w', "wait", "[=TIME]", NULL, "until the agents have applied it (10s when no time is given)"},
    {0, "watch", NULL, NULL, "get, list (also -w): then every change, until Ctrl-C"},
    {0, "resource", "NAME", NULL, "audit-events: only of this resource and those below it"},
    {0, "principal", "NAME", NULL, "audit-events: only of this caller"},
    {0, "method", "METHOD", NULL,
     "audit-events: only of this method, e.g. PublishApi; debug: GET (default), POST, ..."},
    {0, "code", "CODE", NULL, "audit-events: only refusals of this code, e.g. PERMISSION_DENIED"},
    {0, "refused", NULL, NULL, "audit-events: only refusals"},
    {0, "since", "TIME", NULL, "audit-events: from then on, 2026-11-27T00:00:00Z or 2h (ago)"},
    {0, "until", "TIME", NULL, "audit-events: before then"},
    {'H', "header", "'NAME: VALUE'", NULL, "debug: a header of the request; may be repeated"},
    {'q', "query", "NAME=VALUE", NULL, "debug: a parameter of the query; may be repeated"},
    {'d', "data", "TEXT", NULL, "debug: the body; @FILE: from a file, @-: from stdin"},
    {0, "domain", "HOST", NULL, "debug: the Host (default: the group's debugging domain)"},
    {0, "https", NULL, NULL, "debug: as if called over TLS"},
    {0, "agent", "AGENT", NULL, "debug: through this agent (default: any)"},
    {0, "app-code-file", "FILE", NULL, "debug --mode consumer: file with the AppCode"},
    {0, "secret-file", "FILE", NULL, "reset-secret: file with the new one (default: one is made)"},
    {0, "limit", "N", NULL, "lists: at most so many; 0: all (default, but 1000 audit-events)"},
    {0, "mode", "MODE", NULL,
     "openapi import: merge (default) keeps APIs, override replaces them; debug: developer "
     "(default: the draft, unchecked) or consumer"},
    {0, "backend", "URL", NULL, "openapi import: http://host:port/path, channels/NAME or mock"},
    {0, "replace-backends", NULL, NULL, "openapi import: --backend for all operations"},
    {0, "skip-parameters", NULL, NULL, "openapi import: without parameters, which pass unchecked"},
    {0, "strict", NULL, NULL, "openapi import: refuse what cannot be kept as it is"},
    {0, "create-group", NULL, NULL, "openapi import: make the group when it is not there"},
    {0, "spec", "VERSION", NULL, "openapi export: 3 (default) or 2"},
    {0, "basic", NULL, NULL, "openapi export: what callers need, without backends"},
    {0, "extended", NULL, NULL, "openapi export: with the policies that are bound in --env"},
    {0, "dry-run", "[=WHERE]", NULL,
     "write nothing; =server (default) checks everything, =client only reads the files"},
    {'h', "help", NULL, NULL, "this text"},
    {0, "version", NULL, NULL, "the program's version"},
};

#define USAGE "USAGE" /* the reason of an error that no server sends */

int cp_usage(struct gw_error *err)
{
    return gw_error_reason(err, USAGE);
}

bool cp_is_usage(const struct gw_error *err)
{
    return strcmp(err->reason, USAGE) == 0;
}

#define FIELD(flag, environment, key, member, is_file)                                             \
    {                                                                                              \
        flag, environment, key, offsetof(struct cp_connection, member), is_file                    \
    }
static const struct cp_connection_field connection_fields[] = {
    FIELD("server", "PENSTOCK_SERVER", "server", server, false),
    FIELD("ca", "PENSTOCK_CA", "ca", ca_file, true),
    FIELD("cert", "PENSTOCK_CERT", "cert", cert_file, true),
    FIELD("key", "PENSTOCK_KEY", "key", key_file, true),
    FIELD("server-name", "PENSTOCK_SERVER_NAME", "serverName", server_name, false),
    FIELD("token-file", "PENSTOCK_TOKEN_FILE", "tokenFile", token_file, true),
};

size_t cp_connection_fields(const struct cp_connection_field **ret_fields)
{
    *ret_fields = connection_fields;
    return GW_ARRAY_LEN(connection_fields);
}

const char **cp_connection_slot(struct cp_connection *connection,
                                const struct cp_connection_field *field)
{
    return (const char **)(void *)((char *)connection + field->offset);
}

bool cp_options_takes_value(const char *word)
{
    for (size_t i = 0; i < GW_ARRAY_LEN(flags); i++) {
        bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, flags[i].name) == 0;
        bool is_short = flags[i].letter && word[1] == flags[i].letter && word[2] == '\0';
        if (is_long || is_short)
            return flags[i].value && flags[i].value[0] != '[';
    }
    return false;
}

#define LONG_BASE 256 /* getopt value of flag i: LONG_BASE + i */

const char *cp_options_flag(unsigned index)
{
    return index < GW_ARRAY_LEN(flags) ? flags[index].name : NULL;
}

void cp_options_print(void)
{
    puts("\nFlags:");
    for (size_t i = 0; i < GW_ARRAY_LEN(flags); i++) {
        char left[48], letter[8] = "    ";
        const struct flag *flag = &flags[i];
        if (flag->letter)
            snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
        bool optional = flag->value && flag->value[0] == '[';
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, flag->name,
                 flag->value && !optional ? " " : "", flag->value ? flag->value : "");
        printf("  %-28s %s%s%s%s\n", left, flag->doc, flag->environment ? " [$" : "",
               flag->environment ? flag->environment : "", flag->environment ? "]" : "");
    }
}

int cp_duration_parse(gw_str text, gw_msec *ret_ms)
{
    static const struct {
        gw_str unit;
        gw_msec ms;
    } units[] = {
        {GW_STR("ms"), 1}, {GW_STR("s"), 1000}, {GW_STR("m"), 60000}, {GW_STR("h"), 3600000}};
    for (size_t i = 0; i < GW_ARRAY_LEN(units); i++) {
        uint64_t number;
        if (!gw_str_has_suffix(text, units[i].unit))
            continue;
        gw_str digits = gw_str_n(text.ptr, text.len - units[i].unit.len);
        if (gw_str_to_u64(digits, 1000000, &number) == 0) {
            *ret_ms = (gw_msec)number * units[i].ms;
            return 0;
        }
    }
    return -1;
}

static int parse_output(struct cp_options *options, gw_str name, struct gw_error *err)
{
    static const char *const names[] = {"table", "json", "yaml", "name", "csv"};
    for (unsigned i = 0; i < GW_ARRAY_LEN(names); i++) {
        if (gw_str_eq(name, gw_str_from(names[i]))) {
            options->output = (enum cp_output)i;
            return 0;
        }
    }
    return gw_fail_field(err, "--output", "\"%.*s\" is not table, json, yaml, name or csv",
                         GW_STR_ARG(name));
}

/* A token is never taken from the command line, where every user of the machine could read it. */
static int read_token(struct cp_options *options, const char *path, struct gw_error *err)
{
    char text[TOKEN_BYTES_MAX];
    FILE *file = fopen(path, "re");
    if (!file)
        return gw_fail_field(err, "--token-file", "%s: %s", path, strerror(errno));
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (len == 0 || len == sizeof(text))
        return gw_fail_field(err, "--token-file", "%s: empty or longer than %d bytes", path,
                             TOKEN_BYTES_MAX - 1);
    free(options->token);
    options->token = gw_calloc(1, len + 1);
    memcpy(options->token, text, len);
    return 0;
}

static int set_text(const char **slot, const char *value)
{
    *slot = value;
    return 0;
}

static int set_duration(gw_msec *slot, const char *flag, const char *value, struct gw_error *err)
{
    if (cp_duration_parse(gw_str_from(value), slot) < 0)
        return gw_fail_field(err, flag, "\"%s\" is not a time such as 500ms, 10s or 2m", value);
    return 0;
}

static int add_file(struct cp_options *options, const char *path, struct gw_error *err)
{
    if (options->file_count == CP_CTL_FILES_MAX)
        return gw_fail_field(err, "--file", "more than %d", CP_CTL_FILES_MAX);
    options->files[options->file_count++] = path;
    return 0;
}

static int add_tag(struct cp_options *options, const char *tag, struct gw_error *err)
{
    if (options->tag_count == CP_CTL_TAGS_MAX)
        return gw_fail_field(err, "--tag", "more than %d", CP_CTL_TAGS_MAX);
    options->tags[options->tag_count++] = (char *)(uintptr_t)tag;
    return 0;
}

static int add_field(const char **fields, unsigned *count, const char *flag, const char *value,
                     struct gw_error *err)
{
    if (*count == CP_CTL_FIELDS_MAX)
        return gw_fail_field(err, flag, "more than %d", CP_CTL_FIELDS_MAX);
    fields[(*count)++] = value;
    return 0;
}

static int set_to(struct cp_options *options, const char *value, struct gw_error *err)
{
    uint64_t number;
    if (gw_str_to_u64(gw_str_from(value), INT64_MAX, &number) < 0 || number == 0)
        return gw_fail_field(err, "--to", "\"%s\" is not a release number", value);
    options->to = (int64_t)number;
    return 0;
}

static int set_limit(struct cp_options *options, const char *value, struct gw_error *err)
{
    uint64_t number;
    if (gw_str_to_u64(gw_str_from(value), INT32_MAX, &number) < 0)
        return gw_fail_field(err, "--limit", "\"%s\" is not a number", value);
    options->limit = (int64_t)number;
    return 0;
}

static int set_dry_run(struct cp_options *options, const char *where, struct gw_error *err)
{
    options->dry_run = true;
    options->is_offline = where && strcmp(where, "client") == 0;
    if (!where || options->is_offline || strcmp(where, "server") == 0)
        return 0;
    return gw_fail_field(err, "--dry-run", "\"%s\" is not client or server", where);
}

static void set_switch(struct cp_options *o, const char *name)
{
    const struct {
        const char *name;
        bool *slot;
    } switches[] = {{"recursive", &o->recursive},
                    {"prune", &o->prune},
                    {"watch", &o->watch},
                    {"https", &o->debug.https},
                    {"refused", &o->filters.refused},
                    {"version", &o->version},
                    {"replace-backends", &o->openapi.replace_backends},
                    {"skip-parameters", &o->openapi.skip_parameters},
                    {"strict", &o->openapi.strict},
                    {"create-group", &o->openapi.create_group},
                    {"basic", &o->openapi.basic},
                    {"extended", &o->openapi.extended},
                    {"help", &o->help}};
    for (size_t i = 0; i < GW_ARRAY_LEN(switches); i++)
        if (strcmp(name, switches[i].name) == 0)
            *switches[i].slot = true;
}

static int apply_flag(struct cp_options *o, const char *name, const char *value,
                      struct gw_error *err)
{
    const struct {
        const char *name;
        const char **slot;
    } texts[] = {{"context", &o->context},
                 {"env", &o->environment},
                 {"description", &o->description},
                 {"etag", &o->etag},
                 {"path", &o->path},
                 {"from", &o->from},
                 {"managed-by", &o->managed_by},
                 {"group", &o->group},
                 {"mode", &o->mode},
                 {"backend", &o->openapi.backend},
                 {"spec", &o->openapi.spec},
                 {"resource", &o->filters.resource},
                 {"principal", &o->filters.principal},
                 {"method", &o->filters.method},
                 {"code", &o->filters.code},
                 {"since", &o->filters.since},
                 {"until", &o->filters.until},
                 {"data", &o->debug.data},
                 {"domain", &o->debug.domain},
                 {"agent", &o->debug.agent},
                 {"secret-file", &o->secret_file},
                 {"app-code-file", &o->debug.app_code_file}};
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++)
        if (strcmp(name, texts[i].name) == 0)
            return set_text(texts[i].slot, value);
    for (size_t i = 0; i < GW_ARRAY_LEN(connection_fields); i++)
        if (strcmp(name, connection_fields[i].flag) == 0)
            return set_text(cp_connection_slot(&o->connection, &connection_fields[i]), value);
    if (strcmp(name, "output") == 0)
        return parse_output(o, gw_str_from(value), err);
    if (strcmp(name, "timeout") == 0)
        return set_duration(&o->timeout_ms, "--timeout", value, err);
    if (strcmp(name, "file") == 0)
        return add_file(o, value, err);
    if (strcmp(name, "tag") == 0)
        return add_tag(o, value, err);
    if (strcmp(name, "header") == 0)
        return add_field(o->debug.headers, &o->debug.header_count, "--header", value, err);
    if (strcmp(name, "query") == 0)
        return add_field(o->debug.query, &o->debug.query_count, "--query", value, err);
    if (strcmp(name, "to") == 0)
        return set_to(o, value, err);
    if (strcmp(name, "limit") == 0)
        return set_limit(o, value, err);
    if (strcmp(name, "wait") == 0) {
        o->wait_ms = WAIT_DEFAULT_MS;
        return value ? set_duration(&o->wait_ms, "--wait", value, err) : 0;
    }
    if (strcmp(name, "dry-run") == 0)
        return set_dry_run(o, value, err);
    set_switch(o, name);
    return 0;
}

static const char *environment_text(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Flags have been read: they come first, then the environment, then the context. */
static int find_connection(struct cp_options *options, struct gw_error *err)
{
    const struct cp_command *command = options->command ? cp_command_find(options->command) : NULL;
    options->given = options->connection;
    for (size_t i = 0; i < GW_ARRAY_LEN(connection_fields); i++) {
        const char **slot = cp_connection_slot(&options->connection, &connection_fields[i]);
        if (!*slot)
            *slot = environment_text(connection_fields[i].environment);
    }
    const char *token = environment_text("PENSTOCK_TOKEN");
    if (!options->context)
        options->context = environment_text("PENSTOCK_CONTEXT");
    if (token && !options->connection.token_file)
        options->token = gw_strdup(token);
    if (command && !command->is_offline && cp_contexts_fill(options, err) < 0)
        return -1;
    if (!options->connection.server)
        options->connection.server = SERVER_DEFAULT;
    bool needs_token = options->connection.token_file && !options->token;
    return needs_token && command && !command->is_offline
               ? read_token(options, options->connection.token_file, err)
               : 0;
}

static void describe(struct option *longs, char *shorts)
{
    *shorts++ = ':'; /* a missing value is told apart from an unknown flag */
    for (size_t i = 0; i < GW_ARRAY_LEN(flags); i++) {
        int takes = !flags[i].value            ? no_argument
                    : flags[i].value[0] == '[' ? optional_argument
                                               : required_argument;
        longs[i] = (struct option){flags[i].name, takes, NULL, LONG_BASE + (int)i};
        if (!flags[i].letter)
            continue;
        *shorts++ = flags[i].letter;
        for (int colon = 0; colon < takes; colon++)
            *shorts++ = ':';
    }
    *shorts = '\0';
}

static int check_csv(const struct cp_options *options, struct gw_error *err)
{
    const char *command = options->command ? options->command : "get";
    if (options->output != CP_OUTPUT_CSV || strcmp(command, "get") == 0 ||
        strcmp(command, "list") == 0)
        return 0;
    return gw_fail_field(err, "--output", "csv is for lists of audit-events, not for %s", command);
}

static int parse(struct cp_options *options, int argc, char **argv, struct gw_error *err)
{
    struct option longs[GW_ARRAY_LEN(flags) + 1] = {0};
    char shorts[3 * GW_ARRAY_LEN(flags) + 2];
    *options = (struct cp_options){.timeout_ms = TIMEOUT_DEFAULT_MS, .limit = -1};
    describe(longs, shorts);
    opterr = 0;
    optind = 0; /* starts anew: tests parse several lines in one process */
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        const char *word = argv[optind - 1];
        const struct flag *flag = NULL;
        if (c == '?')
            return gw_fail(err, GW_INVALID_ARGUMENT, "unknown flag %s", word);
        if (c == ':')
            return gw_fail(err, GW_INVALID_ARGUMENT, "%s needs a value", word);
        for (size_t i = 0; i < GW_ARRAY_LEN(flags); i++)
            if (c == LONG_BASE + (int)i || c == flags[i].letter)
                flag = &flags[i];
        if (apply_flag(options, flag->name, optarg, err) < 0)
            return -1;
    }
    if (optind < argc)
        options->command = argv[optind++];
    options->args = argv + optind;
    options->arg_count = argc - optind;
    return check_csv(options, err) < 0 ? -1 : find_connection(options, err);
}

int cp_options_parse(struct cp_options *options, int argc, char **argv, struct gw_error *err)
{
    return parse(options, argc, argv, err) < 0 ? cp_usage(err) : 0;
}

void cp_options_done(struct cp_options *options)
{
    if (options->token)
        explicit_bzero(options->token, strlen(options->token));
    free(options->token);
    options->token = NULL;
    json_decref(options->config);
    options->config = NULL;
}
