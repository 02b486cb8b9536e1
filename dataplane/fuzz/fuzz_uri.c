/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a path: what passes has no control, no empty and no dot segment, and what is sent to
 * a backend is read there as what was matched here. Input: flags (1: keep %2F), then the path. */
#include "dataplane/http/uri.h"

#include <stdio.h>
#include <stdlib.h>

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check_path(gw_str path)
{
    expect(path.len > 0 && *path.ptr == '/', "start");
    gw_str rest = {path.ptr + 1, path.len - 1};
    while (rest.ptr) {
        gw_str segment = gw_str_split(&rest, '/');
        expect(segment.len > 0 || !rest.ptr, "empty segment");
        expect(!gw_str_eq(segment, GW_STR(".")) && !gw_str_eq(segment, GW_STR("..")), "dots");
    }
    for (size_t i = 0; i < path.len; i++)
        expect((unsigned char)path.ptr[i] >= 0x20 && path.ptr[i] != 0x7f, "control");
}

static void check_wire(gw_str wire)
{
    for (size_t i = 0; i < wire.len; i++) {
        char c = wire.ptr[i];
        expect(c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '\\', "byte on the wire");
    }
}

static void check_normalised(struct gw_arena *arena, gw_str path, enum dp_uri_slash slash)
{
    gw_str again, wire = dp_uri_encode_path(arena, path, slash);
    check_path(path);
    check_wire(wire);
    expect(dp_uri_normalise(arena, wire, slash, &again) == 0, "wire form is accepted");
    expect(gw_str_eq(again, path), "wire form means the same");
}

static void check_values(struct gw_arena *arena, gw_str text)
{
    gw_str out;
    check_wire(dp_uri_encode_segment(arena, text));
    expect(gw_str_find(dp_uri_encode_segment(arena, text), '/') < 0, "slash in a segment");
    expect(dp_uri_decode(arena, dp_uri_encode_segment(arena, text), &out) == 0 &&
               gw_str_eq(out, text),
           "segment decodes");
    expect(dp_uri_decode(arena, dp_uri_encode_query(arena, text), &out) == 0 &&
               gw_str_eq(out, text),
           "query value decodes");
    (void)dp_uri_decode(arena, text, &out); /* any result, but no crash */
    gw_str rest = text, name, value;
    size_t total = 0;
    while (dp_uri_next_param(&rest, &name, &value))
        total += name.len + value.len;
    expect(total <= text.len, "parameters");
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1)
        return 0;
    struct gw_arena arena = {0};
    enum dp_uri_slash slash = input[0] & 1 ? DP_URI_SLASH_KEEP : DP_URI_SLASH_DECODE;
    char *owned = gw_malloc(size); /* of its exact size, so that a read behind it is seen */
    memcpy(owned, input + 1, size - 1);
    gw_str raw = {owned, size - 1}, path;
    char *exact = gw_realloc(owned, size - 1 ? size - 1 : 1);
    raw.ptr = exact;
    if (dp_uri_normalise(&arena, raw, slash, &path) == 0)
        check_normalised(&arena, path, slash);
    check_values(&arena, raw);
    gw_arena_done(&arena);
    free(exact);
    return 0;
}
