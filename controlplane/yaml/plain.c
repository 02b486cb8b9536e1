/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/yaml/plain.h"

#include "common/base.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Plain words that are not strings: null, booleans and the numbers of JSON. */
json_t *cp_yaml_plain(const char *text, size_t len)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const words[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    char *end;
    for (size_t i = 0; i < GW_ARRAY_LEN(nulls); i++)
        if (strcmp(text, nulls[i]) == 0)
            return json_null();
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++)
        if (strcmp(text, words[i]) == 0)
            return json_boolean(i < 3);
    json_t *number = json_loadb(text, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    bool is_number = json_is_number(number);
    json_decref(number);
    if (!is_number)
        return json_stringn(text, len);
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0)
        return json_integer(integer);
    return json_real(strtod(text, NULL));
}

/* Words that parsers of YAML 1.1 take for booleans. */
static bool is_word_of_1_1(const char *text)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

/* Numbers with two points are none: addresses and versions stay bare. */
static bool is_like_number(const char *text)
{
    const char *point = strchr(text, '.');
    bool begins = isdigit((unsigned char)text[0]) || strchr("+-.", text[0]);
    if (!begins || (point && strchr(point + 1, '.')))
        return false;
    if (text[0] == '0' && strchr("xXoObB", text[1]))
        return true;
    return strspn(text, "0123456789+-_.:eE") == strlen(text) || strcasecmp(text, ".inf") == 0 ||
           strcasecmp(text, ".nan") == 0 || strcasecmp(text + 1, ".inf") == 0;
}

/* "2026-01-01T00:00:00Z" too. */
static bool is_like_date(const char *text)
{
    return strlen(text) >= 8 && strspn(text, "0123456789") == 4 && text[4] == '-' &&
           isdigit((unsigned char)text[5]);
}

bool cp_yaml_needs_quotes(const char *text, size_t len)
{
    json_t *plain = cp_yaml_plain(text, len);
    bool is_string = json_is_string(plain);
    json_decref(plain);
    return !is_string || is_word_of_1_1(text) || is_like_number(text) || is_like_date(text) ||
           strcmp(text, "<<") == 0 || strcmp(text, "=") == 0;
}
