/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define ENV_PREFIX "PENSTOCK_"
#define NAME_MAX_BYTES 96
#define HELP_MAX_BYTES 1024
#define HELP_INDENT 6
#define HELP_COLUMNS 90

struct unit {
    const char *suffix;
    int64_t factor;
};

/* Largest first: the help text names a value by the first unit that divides it. */
static const struct unit durations[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}};
static const struct unit plain[] = {{"", 1}};

struct units {
    const struct unit *list;
    unsigned count;
    const char *what; /* for messages */
};

static struct units units_of(enum gw_setting_kind kind)
{
    if (kind == GW_SETTING_DURATION)
        return (struct units){durations, GW_ARRAY_LEN(durations),
                              "a duration (250ms, 15s, 5m, 1h)"};
    if (kind == GW_SETTING_BYTES)
        return (struct units){sizes, GW_ARRAY_LEN(sizes), "a size (1000, 64KiB, 12MiB, 1GiB)"};
    return (struct units){plain, GW_ARRAY_LEN(plain), "a whole number"};
}

/* Where a value came from, and how to name that place to the person who must correct it. */
struct choice {
    const char *value; /* NULL: not given */
    char place[NAME_MAX_BYTES];
};

static void env_name(const char *flag, char *ret_name, size_t size)
{
    snprintf(ret_name, size, ENV_PREFIX "%s", flag);
    for (char *c = ret_name; *c; c++)
        *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 0x20) : *c;
}

static int parse_scaled(gw_str text, const struct units *units, int64_t *ret_value)
{
    bool negative = text.len && text.ptr[0] == '-';
    if (negative)
        text = gw_str_n(text.ptr + 1, text.len - 1);
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    gw_str suffix = gw_str_n(text.ptr + digits, text.len - digits);
    uint64_t number;
    if (gw_str_to_u64(gw_str_n(text.ptr, digits), INT64_MAX, &number) < 0)
        return -1;
    for (unsigned i = 0; i < units->count; i++) {
        const struct unit *unit = &units->list[i];
        bool fits = gw_str_eq(suffix, gw_str_from(unit->suffix)) || (number == 0 && !suffix.len);
        if (!fits || number > (uint64_t)(INT64_MAX / unit->factor))
            continue;
        int64_t value = (int64_t)number * unit->factor;
        *ret_value = negative ? -value : value;
        return 0;
    }
    return -1;
}

static int parse_bool(gw_str text, bool *ret_value)
{
    bool yes = gw_str_eq(text, GW_STR("true")) || gw_str_eq(text, GW_STR("1"));
    if (!yes && !gw_str_eq(text, GW_STR("false")) && !gw_str_eq(text, GW_STR("0")))
        return -1;
    *ret_value = yes;
    return 0;
}

/* A value in the words in which it would be given: "15s", "64KiB". */
static void print_scaled(int64_t value, const struct units *units, char *ret_text, size_t size)
{
    const struct unit *unit = units->list;
    while (value % unit->factor != 0 || (value == 0 && unit->factor != 1))
        unit++;
    snprintf(ret_text, size, "%lld%s", (long long)(value / unit->factor), unit->suffix);
}

static int set_number(const struct gw_setting *row, const struct choice *choice, int64_t *target,
                      struct gw_error *err)
{
    struct units units = units_of(row->kind);
    int64_t value;
    if (parse_scaled(gw_str_from(choice->value), &units, &value) < 0)
        return gw_fail_field(err, choice->place, "\"%s\" is not %s", choice->value, units.what);
    bool bounded = row->min != 0 || row->max != 0;
    if (bounded && (value < row->min || value > row->max)) {
        char min[32], max[32];
        print_scaled(row->min, &units, min, sizeof(min));
        print_scaled(row->max, &units, max, sizeof(max));
        return gw_fail_field(err, choice->place, "must be %s to %s, not %s", min, max,
                             choice->value);
    }
    *target = value;
    return 0;
}

static int set_value(const struct gw_setting *row, const struct choice *choice, void *target,
                     struct gw_error *err)
{
    switch (row->kind) {
    case GW_SETTING_TEXT:
        *(const char **)target = choice->value;
        return 0;
    case GW_SETTING_BOOL:
        if (parse_bool(gw_str_from(choice->value), target) == 0)
            return 0;
        return gw_fail_field(err, choice->place, "\"%s\" is not true or false", choice->value);
    default:
        return set_number(row, choice, target, err);
    }
}

static int row_of(const struct gw_setting *rows, size_t count, gw_str flag)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].flag && gw_str_eq(flag, gw_str_from(rows[i].flag)))
            return (int)i;
    return -1;
}

/* One option at argv[at]; returns how many words it takes, or -1. */
static int read_option(const struct gw_setting *rows, size_t count, struct choice *choices,
                       char *const *argv, struct gw_error *err)
{
    gw_str rest = gw_str_from(argv[0]);
    bool is_long = gw_str_has_prefix(rest, GW_STR("--"));
    gw_str flag = gw_str_split(&rest, '=');
    int i = is_long ? row_of(rows, count, gw_str_n(flag.ptr + 2, flag.len - 2)) : -1;
    if (i < 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "unknown option %.*s", GW_STR_ARG(flag));
    struct choice *choice = &choices[i];
    snprintf(choice->place, sizeof(choice->place), "--%s", rows[i].flag);
    choice->value = rest.ptr;
    if (choice->value)
        return 1;
    if (rows[i].kind == GW_SETTING_BOOL) {
        choice->value = "true";
        return 1;
    }
    if (!argv[1])
        return gw_fail_field(err, choice->place, "needs a value");
    choice->value = argv[1];
    return 2;
}

static int read_words(const struct gw_setting *rows, size_t count, struct choice *choices,
                      char *const *argv, int *ret_rest, struct gw_error *err)
{
    int at = 1;
    while (argv[at] && argv[at][0] == '-' && argv[at][1]) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        int words = read_option(rows, count, choices, argv + at, err);
        if (words < 0)
            return -1;
        at += words;
    }
    *ret_rest = at;
    return 0;
}

/* An empty variable counts as not set: manifests leave them so. */
static void read_environment(const struct gw_setting *row, struct choice *choice)
{
    if (choice->value)
        return;
    env_name(row->flag, choice->place, sizeof(choice->place));
    const char *value = getenv(choice->place);
    choice->value = value && *value ? value : row->fallback;
}

int gw_settings_load(const struct gw_setting *rows, size_t count, void *target, int argc,
                     char **argv, int *ret_rest, struct gw_error *err)
{
    assert(!argv[argc]);
    gw_auto(gw_freep) struct choice *choices = gw_calloc(count, sizeof(*choices));
    int rest;
    if (read_words(rows, count, choices, argv, &rest, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kind == GW_SETTING_HEADING)
            continue;
        read_environment(&rows[i], &choices[i]);
        if (!choices[i].value) /* no default: what the target holds already */
            continue;
        if (set_value(&rows[i], &choices[i], (char *)target + rows[i].offset, err) < 0)
            return -1;
    }
    *ret_rest = rest;
    return 0;
}

static const char *placeholder(enum gw_setting_kind kind)
{
    static const char *const words[] = {
        [GW_SETTING_TEXT] = " <text>",  [GW_SETTING_INT] = " <number>",
        [GW_SETTING_BOOL] = "",         [GW_SETTING_DURATION] = " <duration>",
        [GW_SETTING_BYTES] = " <size>",
    };
    return words[kind];
}

/* Lines of words, indented; a word that is longer than a line has one of its own. */
static void print_wrapped(const char *text)
{
    gw_str rest = gw_str_from(text);
    size_t column = 0;
    while (rest.ptr) {
        gw_str word = gw_str_split(&rest, ' ');
        bool fits = column > 0 && column + 1 + word.len <= HELP_COLUMNS;
        printf("%s%.*s", fits ? " " : column ? "\n      " : "      ", GW_STR_ARG(word));
        column = fits ? column + 1 + word.len : HELP_INDENT + word.len;
    }
    putchar('\n');
}

static void print_row(const struct gw_setting *row)
{
    if (row->kind == GW_SETTING_HEADING) {
        printf("\n%s\n", row->doc);
        return;
    }
    char env[NAME_MAX_BYTES], text[HELP_MAX_BYTES], limits[80] = "", fallback[128] = "";
    env_name(row->flag, env, sizeof(env));
    const char *stop = gw_str_has_suffix(gw_str_from(row->doc), GW_STR(".")) ? "" : ".";
    if (row->min != 0 || row->max != 0) {
        char min[32], max[32];
        struct units units = units_of(row->kind);
        print_scaled(row->min, &units, min, sizeof(min));
        print_scaled(row->max, &units, max, sizeof(max));
        snprintf(limits, sizeof(limits), " %s to %s.", min, max);
    }
    if (row->fallback && *row->fallback)
        snprintf(fallback, sizeof(fallback), " Default: %s.", row->fallback);
    snprintf(text, sizeof(text), "%s%s%s%s", row->doc, stop, limits, fallback);
    printf("\n  --%s%s\n", row->flag, placeholder(row->kind));
    print_wrapped(text);
    printf("      Environment: %s\n", env);
}

void gw_settings_print_help(const struct gw_setting *rows, size_t count, const char *usage)
{
    printf("usage: %s\n", usage);
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i]);
}
