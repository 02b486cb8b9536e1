/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/method.h"

static const gw_str methods[DP_METHOD_COUNT] = {
    [DP_METHOD_OTHER] = {"", 0},      [DP_METHOD_GET] = {"GET", 3},
    [DP_METHOD_HEAD] = {"HEAD", 4},   [DP_METHOD_POST] = {"POST", 4},
    [DP_METHOD_PUT] = {"PUT", 3},     [DP_METHOD_DELETE] = {"DELETE", 6},
    [DP_METHOD_PATCH] = {"PATCH", 5}, [DP_METHOD_OPTIONS] = {"OPTIONS", 7},
    [DP_METHOD_TRACE] = {"TRACE", 5}, [DP_METHOD_CONNECT] = {"CONNECT", 7},
};

static enum dp_method method_of_first(char first, gw_str name)
{
    switch (first) {
    case 'G':
        return DP_METHOD_GET;
    case 'H':
        return DP_METHOD_HEAD;
    case 'P':
        return name.len == 3 ? DP_METHOD_PUT : name.len == 4 ? DP_METHOD_POST : DP_METHOD_PATCH;
    case 'D':
        return DP_METHOD_DELETE;
    case 'O':
        return DP_METHOD_OPTIONS;
    case 'T':
        return DP_METHOD_TRACE;
    case 'C':
        return DP_METHOD_CONNECT;
    default:
        return DP_METHOD_OTHER;
    }
}

enum dp_method dp_method_from(gw_str name)
{
    enum dp_method guess = method_of_first(name.len ? *name.ptr : '\0', name);
    return gw_str_eq(methods[guess], name) ? guess : DP_METHOD_OTHER;
}

gw_str dp_method_name(enum dp_method method)
{
    assert(method < DP_METHOD_COUNT);
    return methods[method];
}

bool dp_method_is_idempotent(enum dp_method method)
{
    return method == DP_METHOD_GET || method == DP_METHOD_HEAD || method == DP_METHOD_PUT ||
           method == DP_METHOD_DELETE || method == DP_METHOD_OPTIONS || method == DP_METHOD_TRACE;
}
