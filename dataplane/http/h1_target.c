/* SPDX-License-Identifier: Apache-2.0 */
/* The four forms of a request target and the Host (RFC 9112 3.2, 3.3). */
#include "dataplane/http/h1_framing.h"

#include "dataplane/http/scan.h"

#define HOST_BYTES_MAX 255

/* host[:port], cut. */
struct authority {
    gw_str text; /* all of it, but a colon without a port */
    gw_str host;
    uint16_t port; /* 0: none */
};

/* Names and IPv4 addresses. Sub-delims and escapes are legal in a URI, and in no host there is. */
static const bool is_in_name[256] = {
    ['-'] = true,         ['.'] = true,         ['_'] = true,         ['~'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Bit i: byte i is in no name. */
static unsigned strangers(const char *at)
{
    gw_lanes v = dp_scan_load(at);
    gw_lanes known = (gw_lanes)((v | 0x20) - 'a' < 26) | (gw_lanes)(v - '0' < 10) |
                     (gw_lanes)(v - '-' < 2) | (gw_lanes)(v == '_') | (gw_lanes)(v == '~');
    return gw_lanes_mask(known) ^ 0xffff;
}

static size_t name_length(gw_str text)
{
    size_t i = 0;
    for (; text.len - i >= 16; i += 16) {
        unsigned other = strangers(text.ptr + i);
        if (other)
            return i + (unsigned)__builtin_ctz(other);
    }
    while (i < text.len && is_in_name[(unsigned char)text.ptr[i]])
        i++;
    return i;
}

/* "[" hex digits, colons and dots "]"; 0 when it is not. */
static size_t literal_length(gw_str text)
{
    size_t i = 1;
    while (i < text.len && (is_hex(text.ptr[i]) || text.ptr[i] == ':' || text.ptr[i] == '.'))
        i++;
    return i > 2 && i < text.len && text.ptr[i] == ']' ? i + 1 : 0;
}

static bool parse_authority(gw_str text, struct authority *ret_authority)
{
    size_t len = text.len && *text.ptr == '[' ? literal_length(text) : name_length(text);
    if (len == 0 || len > HOST_BYTES_MAX)
        return false;
    ret_authority->host = ret_authority->text = gw_str_n(text.ptr, len);
    ret_authority->port = 0;
    if (len == text.len)
        return true;
    gw_str digits = {text.ptr + len + 1, text.len - len - 1};
    uint64_t port = 0;
    if (text.ptr[len] != ':')
        return false;
    if (digits.len > 0 && (gw_str_to_u64(digits, UINT16_MAX, &port) != 0 || port == 0))
        return false;
    ret_authority->port = (uint16_t)port;
    ret_authority->text = gw_str_n(text.ptr, digits.len > 0 ? text.len : len);
    return true;
}

/* The part of the target behind scheme and authority. */
static void split_path(struct dp_request_head *head, gw_str text)
{
    ptrdiff_t mark = gw_str_find(text, '?');
    head->has_query = mark >= 0;
    head->path = head->has_query ? gw_str_n(text.ptr, (size_t)mark) : text;
    if (head->path.len == 0)
        head->path = GW_STR("/");
    if (head->has_query)
        head->query = gw_str_n(text.ptr + mark + 1, text.len - (size_t)mark - 1);
}

/* Bytes of "http://" or "https://" in front, 0 when there is neither. */
static size_t scheme_length(gw_str target, uint16_t *ret_port)
{
    static const gw_str schemes[] = {{"http://", 7}, {"https://", 8}};
    static const uint16_t ports[] = {80, 443};
    for (unsigned i = 0; i < GW_ARRAY_LEN(schemes); i++) {
        gw_str start = {target.ptr, GW_MIN(target.len, schemes[i].len)};
        if (gw_str_eq_nocase(start, schemes[i])) {
            *ret_port = ports[i];
            return schemes[i].len;
        }
    }
    return 0;
}

/* http://host/path: the authority there counts, but a Host that says otherwise is a disguise. */
static int split_absolute(struct dp_request_head *head, const struct authority *host)
{
    uint16_t default_port = 0;
    size_t start = scheme_length(head->target, &default_port);
    if (start == 0)
        return -DP_H1_BAD_TARGET;
    gw_str rest = {head->target.ptr + start, head->target.len - start};
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?')
        len++;
    struct authority own;
    if (!parse_authority(gw_str_n(rest.ptr, len), &own))
        return -DP_H1_BAD_TARGET;
    uint16_t own_port = own.port ? own.port : default_port;
    if (host->host.len > 0 && (!gw_str_eq_nocase(own.host, host->host) ||
                               own_port != (host->port ? host->port : default_port)))
        return -DP_H1_BAD_HOST;
    head->is_absolute = true;
    head->authority = own.text;
    head->host = own.host;
    head->port = own.port;
    split_path(head, gw_str_n(rest.ptr + len, rest.len - len));
    return 0;
}

/* Exactly one well-formed Host; HTTP/1.0 may have none. */
static int read_host(struct dp_request_head *head, struct authority *ret_host)
{
    *ret_host = (struct authority){0};
    unsigned count = 0;
    for (unsigned i = 0; i < head->headers.count; i++) {
        const struct dp_header *header = &head->headers.items[i];
        if (header->id != DP_HEADER_HOST)
            continue;
        if (++count > 1 || !parse_authority(header->value, ret_host))
            return -DP_H1_BAD_HOST;
    }
    head->authority = ret_host->text;
    head->host = ret_host->host;
    head->port = ret_host->port;
    return count == 1 || head->minor == 0 ? 0 : -DP_H1_BAD_HOST;
}

int dp_h1_target_split(struct dp_request_head *head)
{
    struct authority host;
    if (head->method == DP_METHOD_CONNECT)
        return -DP_H1_CONNECT_REFUSED;
    int result = read_host(head, &host);
    if (result < 0)
        return result;
    if (*head->target.ptr == '/') {
        split_path(head, head->target);
        return 0;
    }
    if (gw_str_eq(head->target, GW_STR("*"))) {
        head->path = head->target;
        return head->method == DP_METHOD_OPTIONS ? 0 : -DP_H1_BAD_TARGET;
    }
    return split_absolute(head, &host);
}
