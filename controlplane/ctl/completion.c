/* SPDX-License-Identifier: Apache-2.0 */
/* Completion: the scripts of the shells ask `penstockctl __complete WORD...`, which answers what
 * the last word may be, a line each. Names come from the control plane; without one there are none.
 */
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/contexts.h"

#include <stdio.h>

#define NAMES_MAX 500
#define TIMEOUT_MS 2000

struct completion {
    char **words; /* behind "penstockctl"; the last one is being typed */
    int count;
    const char *typed;
    const char *command;
    const char *args[3]; /* behind the command, before the last word */
    unsigned arg_count;
};

/* ---- candidates */

static void offer(const struct completion *at, const char *candidate)
{
    if (strncmp(candidate, at->typed, strlen(at->typed)) == 0)
        puts(candidate);
}

static void offer_commands(const struct completion *at)
{
    for (unsigned i = 0; i < cp_command_count; i++)
        offer(at, cp_commands[i].name);
}

static void offer_kinds(const struct completion *at)
{
    for (unsigned i = 0; i < cp_ctl_kind_count; i++)
        offer(at, cp_ctl_kinds[i].command);
}

static void offer_flags(const struct completion *at)
{
    const char *flag;
    for (unsigned i = 0; (flag = cp_options_flag(i)); i++) {
        char text[64];
        snprintf(text, sizeof text, "--%s", flag);
        offer(at, text);
    }
}

static void offer_words(const struct completion *at, const char *list)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    for (gw_str rest = gw_str_from(list); rest.ptr;)
        offer(at, gw_arena_dup(&arena, gw_str_split(&rest, ' ')).ptr);
}

static void offer_contexts(const struct completion *at)
{
    json_t *config, *context;
    size_t i;
    struct gw_error err = GW_ERROR_NONE;
    if (cp_contexts_read(&config, &err) < 0)
        return;
    json_array_foreach(json_object_get(config, "contexts"), i, context)
    {
        const char *name = json_string_value(json_object_get(context, "name"));
        if (name)
            offer(at, name);
    }
    json_decref(config);
}

/* "api.frontend.pa": the fields of what stands before the last point. */
static void offer_fields(const struct completion *at)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    gw_str rest = gw_str_from(at->typed);
    const char *point = strrchr(at->typed, '.');
    int before = point ? (int)(point - at->typed) : 0;
    const struct cp_ctl_kind *kind = cp_kind_find(gw_str_split(&rest, '.'));
    const ProtobufCMessageDescriptor *type = kind ? kind->message : NULL;
    while (type && rest.ptr) {
        gw_str word = gw_str_split(&rest, '.');
        if (!rest.ptr)
            break;
        const char *name = gw_arena_dup(&arena, word).ptr;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(type, name);
        type = field && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
    }
    if (!point)
        offer_kinds(at);
    for (unsigned i = 0; point && type && i < type->n_fields; i++)
        offer(at, gw_arena_printf(&arena, "%.*s.%s", before, at->typed, type->fields[i].name).ptr);
}

/* ---- names */

struct names {
    const struct completion *at;
    struct gw_arena *arena;
    const char *end; /* "/": there is more below it */
};

/* "orders/read" of "groups/orders/apis/read": what people type. */
static void offer_name(void *arg, ProtobufCMessage *resource)
{
    const struct names *names = arg;
    gw_str rest = gw_str_from(gw_message_text(resource, "name")), ids = GW_STR("");
    while (rest.ptr) {
        (void)gw_str_split(&rest, '/');
        gw_str id = gw_str_split(&rest, '/');
        ids = gw_arena_printf(names->arena, "%.*s%s%.*s", GW_STR_ARG(ids), ids.len ? "/" : "",
                              GW_STR_ARG(id));
    }
    offer(names->at, gw_arena_printf(names->arena, "%.*s%s", GW_STR_ARG(ids), names->end).ptr);
}

/* Of what stands under something else first its parent, then what is under it. */
static void offer_names(const struct completion *at, struct cp_session *session,
                        const struct cp_ctl_kind *kind)
{
    struct gw_error err = GW_ERROR_NONE;
    struct names names = {.at = at, .arena = &session->arena, .end = ""};
    gw_str parent = GW_STR("");
    if (cp_kind_has_parent(kind)) {
        gw_str pattern, id;
        cp_kind_split(gw_str_from(kind->pattern), &pattern, &id);
        const struct cp_ctl_kind *above = cp_kind_of_name(pattern);
        const char *slash = strchr(at->typed, '/');
        if (!above || cp_kind_has_parent(above))
            return;
        if (!slash) {
            kind = above;
            names.end = "/";
        } else if (cp_kind_name(above, gw_str_n(at->typed, (size_t)(slash - at->typed)),
                                &session->arena, &parent, &err) < 0) {
            return;
        }
    }
    if (cp_list(session, kind, parent, NULL, offer_name, &names, &err) < 0)
        return; /* no place to say it: there are no names then */
}

/* With the flags that have been typed so far: they say where the control plane is. */
static void ask_names(const struct completion *at, const char *kind_word)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_session session;
    struct cp_options options;
    const struct cp_ctl_kind *kind = cp_kind_find(gw_str_from(kind_word));
    char **argv = gw_calloc((size_t)at->count + 2, sizeof *argv);
    static char self[] = "penstockctl";
    argv[0] = self;
    int said = at->count - 1; /* without what is typed, and a flag that it is the value of */
    if (said > 0 && at->words[said - 1][0] == '-' && cp_options_takes_value(at->words[said - 1]))
        said--;
    memcpy(argv + 1, at->words, (size_t)said * sizeof *argv);
    int result = kind ? cp_options_parse(&options, said + 1, argv, &err) : -1;
    if (result == 0) {
        options.limit = NAMES_MAX;
        options.timeout_ms = TIMEOUT_MS;
        options.tag_count = 0;
        if (cp_session_open(&session, &options, &err) == 0)
            offer_names(at, &session, kind);
        cp_session_close(&session);
    }
    if (kind)
        cp_options_done(&options);
    free(argv);
}

/* ---- what may stand here */

static bool is_one_of(const char *word, const char *list)
{
    for (gw_str rest = gw_str_from(list); rest.ptr;)
        if (gw_str_eq(gw_str_split(&rest, ' '), gw_str_from(word)))
            return true;
    return false;
}

/* The value of a flag that stands before it. */
static void offer_value(const struct completion *at, const char *flag)
{
    if (is_one_of(flag, "-o --output"))
        offer_words(at, "table json yaml name");
    else if (is_one_of(flag, "-e --env --from"))
        ask_names(at, "environment");
    else if (strcmp(flag, "--group") == 0)
        ask_names(at, "group");
    else if (strcmp(flag, "--context") == 0)
        offer_contexts(at);
}

static void offer_config(const struct completion *at)
{
    const char *word;
    for (unsigned i = 0; at->arg_count == 0 && (word = cp_config_word(i)); i++)
        offer(at, word);
    if (at->arg_count == 1)
        offer_contexts(at);
}

static void offer_argument(const struct completion *at)
{
    bool is_first = at->arg_count == 0;
    if (is_one_of(at->command, "get list delete create") && is_first)
        offer_kinds(at);
    else if (is_one_of(at->command, "get list delete") && at->arg_count == 1)
        ask_names(at, at->args[0]);
    else if (is_one_of(at->command, "publish unpublish") ||
             (is_one_of(at->command, "clone promote history diff rollback") && is_first))
        ask_names(at, "api");
    else if (strcmp(at->command, "reset-secret") == 0 && is_first)
        ask_names(at, "app");
    else if (strcmp(at->command, "export") == 0)
        ask_names(at, "group");
    else if (strcmp(at->command, "explain") == 0 && is_first)
        offer_fields(at);
    else if (strcmp(at->command, "completion") == 0 && is_first)
        offer_words(at, "bash zsh fish");
    else if (strcmp(at->command, "config") == 0)
        offer_config(at);
    else if (strcmp(at->command, "auth") == 0 && is_first)
        offer_words(at, "whoami");
    else if (strcmp(at->command, "openapi") == 0 && is_first)
        offer_words(at, "import export");
    else if (strcmp(at->command, "openapi") == 0 && strcmp(at->args[0], "export") == 0)
        ask_names(at, "api");
}

int cp_complete(int count, char **words)
{
    struct completion at = {.words = words, .count = count};
    if (count == 0)
        return 0;
    at.typed = words[count - 1];
    for (int i = 0; i + 1 < count; i++) {
        if (words[i][0] == '-') {
            i += cp_options_takes_value(words[i]);
        } else if (!at.command) {
            at.command = words[i];
        } else if (at.arg_count < GW_ARRAY_LEN(at.args)) {
            at.args[at.arg_count++] = words[i];
        }
    }
    const char *before = count > 1 ? words[count - 2] : "";
    if (before[0] == '-' && cp_options_takes_value(before))
        offer_value(&at, before);
    else if (at.typed[0] == '-')
        offer_flags(&at);
    else if (!at.command)
        offer_commands(&at);
    else
        offer_argument(&at);
    return 0;
}

/* ---- the scripts */

static const char bash[] =
    "_penstockctl() {\n"
    "  local IFS=$'\\n' word=${COMP_WORDS[COMP_CWORD]}\n"
    "  case ${COMP_WORDS[COMP_CWORD-1]} in "
    "-f|--file|--ca|--cert|--key|--token-file|--secret-file|--app-code-file)\n"
    "    COMPREPLY=($(compgen -f -- \"$word\")); return;;\n"
    "  esac\n"
    "  COMPREPLY=($(penstockctl __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace "
    "2>/dev/null; fi\n"
    "  return 0\n"
    "}\n"
    "complete -o default -F _penstockctl penstockctl\n";

static const char zsh[] =
    "#compdef penstockctl\n"
    "_penstockctl() {\n"
    "  case ${words[CURRENT-1]} in "
    "-f|--file|--ca|--cert|--key|--token-file|--secret-file|--app-code-file) _files; return;; "
    "esac\n"
    "  local -a all\n"
    "  all=(\"${(@f)$(penstockctl __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "  compadd -- ${all:#*/}\n"
    "  compadd -S '' -- ${(M)all:#*/}\n"
    "}\n"
    "compdef _penstockctl penstockctl\n";

static const char fish[] = "function __penstockctl_complete\n"
                           "  set -l words (commandline -opc) (commandline -ct)\n"
                           "  penstockctl __complete $words[2..-1] 2>/dev/null\n"
                           "end\n"
                           "complete -c penstockctl -f -a '(__penstockctl_complete)'\n"
                           "complete -c penstockctl -s f -l file -r -F\n"
                           "complete -c penstockctl -l ca -r -F\n"
                           "complete -c penstockctl -l cert -r -F\n"
                           "complete -c penstockctl -l key -r -F\n"
                           "complete -c penstockctl -l token-file -r -F\n"
                           "complete -c penstockctl -l secret-file -r -F\n"
                           "complete -c penstockctl -l app-code-file -r -F\n";

int cp_command_completion(struct cp_session *session, struct gw_error *err)
{
    static const struct {
        const char *shell, *script;
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *wanted = session->options->args[0];
    for (size_t i = 0; i < GW_ARRAY_LEN(shells); i++) {
        if (strcmp(wanted, shells[i].shell) == 0) {
            fputs(shells[i].script, stdout);
            return 0;
        }
    }
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" is not bash, zsh or fish", wanted);
    return cp_usage(err);
}
