/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/proxy.h"

#include <errno.h>

#define V1_BYTES_MAX 107 /* CR LF included */
#define V1_START GW_STR("PROXY ")
#define V2_START gw_str_n("\r\n\r\n\0\r\nQUIT\n", 12)
#define V2_HEAD_BYTES 16

enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_UNSPEC = 0, FAMILY_INET = 1, FAMILY_INET6 = 2, FAMILY_UNIX = 3 };
enum { TRANSPORT_UNSPEC = 0, TRANSPORT_STREAM = 1, TRANSPORT_DGRAM = 2 };
enum { TLV_CRC32C = 3 };

/* ---- version 1: one line of text */

/* One space between words, none elsewhere. */
static bool take_word(gw_str *rest, gw_str *ret_word)
{
    if (!rest->ptr)
        return false;
    *ret_word = gw_str_split(rest, ' ');
    return ret_word->len > 0;
}

static bool take_address(gw_str *rest, bool v6, struct dp_address *ret_address)
{
    gw_str word;
    if (!take_word(rest, &word) || word.ptr[0] == '[' || dp_address_parse(word, ret_address) != 0)
        return false;
    return v6 == (gw_str_find(word, ':') >= 0);
}

static bool take_port(gw_str *rest, uint16_t *ret_port)
{
    gw_str word;
    uint64_t port;
    if (!take_word(rest, &word) || gw_str_to_u64(word, UINT16_MAX, &port) != 0)
        return false;
    *ret_port = (uint16_t)port;
    return word.len == 1 || word.ptr[0] != '0';
}

static bool parse_line(gw_str line, struct dp_proxy_header *header)
{
    gw_str rest = gw_str_n(line.ptr + V1_START.len, line.len - V1_START.len), family;
    if (!take_word(&rest, &family))
        return false;
    if (gw_str_eq(family, GW_STR("UNKNOWN")))
        return true; /* and whatever follows */
    bool v6 = gw_str_eq(family, GW_STR("TCP6"));
    if (!v6 && !gw_str_eq(family, GW_STR("TCP4")))
        return false;
    header->has_addresses = true;
    return take_address(&rest, v6, &header->source) &&
           take_address(&rest, v6, &header->destination) &&
           take_port(&rest, &header->source_port) && take_port(&rest, &header->destination_port) &&
           !rest.ptr;
}

static ptrdiff_t parse_v1(gw_str bytes, struct dp_proxy_header *header)
{
    gw_str seen = gw_str_n(bytes.ptr, GW_MIN(bytes.len, (size_t)V1_BYTES_MAX));
    ptrdiff_t end = gw_str_find(seen, '\n');
    if (gw_str_find(gw_str_n(bytes.ptr, end < 0 ? seen.len : (size_t)end), '\0') >= 0)
        return -EPROTO;
    if (end < 0)
        return bytes.len < V1_BYTES_MAX ? 0 : -EPROTO;
    if (bytes.ptr[end - 1] != '\r' || !parse_line(gw_str_n(bytes.ptr, (size_t)end - 1), header))
        return -EPROTO;
    return end + 1;
}

/* ---- version 2: binary */

static uint16_t u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* CRC-32C (Castagnoli) of the whole header with the four bytes of the sum itself as zero. Bit by
 * bit: a header is short, and there is one for each connection. */
static uint32_t crc32c(const uint8_t *bytes, size_t len, size_t sum_at)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= i >= sum_at && i < sum_at + 4 ? 0 : bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

/* Type, length, value: all within the header; only the checksum is looked into, of which there may
 * be one: summing up costs more than a header is worth. */
static bool check_extras(const uint8_t *header, size_t at, size_t len)
{
    bool is_summed = false;
    while (at < len) {
        if (len - at < 3 || len - at - 3 < u16(header + at + 1))
            return false;
        const uint8_t *value = header + at + 3;
        size_t size = u16(header + at + 1);
        if (header[at] == TLV_CRC32C) {
            if (size != 4 || is_summed)
                return false;
            is_summed = true;
            uint32_t want = (uint32_t)u16(value) << 16 | u16(value + 2);
            if (crc32c(header, len, at + 3) != want)
                return false;
        }
        at += 3 + size;
    }
    return true;
}

static struct dp_address address_from(const uint8_t *at, size_t size)
{
    struct dp_address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    memcpy(address.bytes + sizeof(address.bytes) - size, at, size);
    return address;
}

/* Both addresses, then both ports. */
static void take_pair(const uint8_t *at, size_t size, struct dp_proxy_header *header)
{
    header->has_addresses = true;
    header->source = address_from(at, size);
    header->destination = address_from(at + size, size);
    header->source_port = u16(at + 2 * size);
    header->destination_port = u16(at + 2 * size + 2);
}

static bool parse_addresses(const uint8_t *header, size_t len, struct dp_proxy_header *ret_header)
{
    static const uint8_t sizes[] = {
        [FAMILY_UNSPEC] = 0, [FAMILY_INET] = 12, [FAMILY_INET6] = 36, [FAMILY_UNIX] = 216};
    unsigned family = header[13] >> 4, transport = header[13] & 15;
    if (family > FAMILY_UNIX || transport > TRANSPORT_DGRAM || len - V2_HEAD_BYTES < sizes[family])
        return false;
    /* Without a family nobody says where the addresses end. */
    if (family == FAMILY_UNSPEC)
        return true;
    if (!check_extras(header, V2_HEAD_BYTES + sizes[family], len))
        return false;
    if (transport != TRANSPORT_STREAM || family == FAMILY_UNIX)
        return true;
    take_pair(header + V2_HEAD_BYTES, family == FAMILY_INET ? 4 : 16, ret_header);
    return true;
}

static ptrdiff_t parse_v2(gw_str bytes, struct dp_proxy_header *ret_header)
{
    const uint8_t *header = (const uint8_t *)bytes.ptr;
    if (bytes.len > 12 && (header[12] >> 4 != 2 || (header[12] & 15) > COMMAND_PROXY))
        return -EPROTO;
    if (bytes.len < V2_HEAD_BYTES)
        return 0;
    size_t len = V2_HEAD_BYTES + (size_t)u16(header + 14);
    if (len > DP_PROXY_BYTES_MAX)
        return -EPROTO;
    if (bytes.len < len)
        return 0;
    if ((header[12] & 15) == COMMAND_PROXY && !parse_addresses(header, len, ret_header))
        return -EPROTO;
    return (ptrdiff_t)len;
}

/* As far as both go. */
static bool begins_alike(gw_str bytes, gw_str start)
{
    return memcmp(bytes.ptr, start.ptr, GW_MIN(bytes.len, start.len)) == 0;
}

ptrdiff_t dp_proxy_parse(gw_str bytes, struct dp_proxy_header *ret_header)
{
    *ret_header = (struct dp_proxy_header){0};
    if (bytes.len == 0)
        return 0;
    if (begins_alike(bytes, V1_START))
        return bytes.len < V1_START.len ? 0 : parse_v1(bytes, ret_header);
    if (begins_alike(bytes, V2_START))
        return parse_v2(bytes, ret_header);
    return -EPROTO;
}
