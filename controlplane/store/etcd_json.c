/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/store/etcd_json.h"

#include "common/json_text.h"

static void write_base64(struct gw_buf *buf, gw_str bytes)
{
    size_t len = GW_BASE64_LEN(bytes.len);
    if (gw_buf_reserve(buf, len + 1) == 0) {
        gw_json_base64(bytes, buf->data + buf->end);
        gw_buf_commit(buf, len);
    }
}

void etcd_write_bytes(struct gw_buf *buf, const char *name, gw_str bytes)
{
    etcd_write(buf, "\"%s\":\"", name);
    write_base64(buf, bytes);
    etcd_write(buf, "\"");
}

void etcd_write_text(struct gw_buf *buf, const char *name, gw_str text)
{
    etcd_write(buf, "\"%s\":\"", name);
    while (text.len) {
        char scratch[8];
        gw_str piece = gw_str_json_step(&text, scratch);
        etcd_write(buf, "%.*s", GW_STR_ARG(piece));
    }
    etcd_write(buf, "\"");
}

/* The first key behind all keys with the prefix; a single NUL means "to the end of all keys". */
static void write_range_end(struct gw_buf *buf, gw_str prefix)
{
    char end[CP_STORE_KEY_MAX];
    size_t len = prefix.len;
    while (len && (unsigned char)prefix.ptr[len - 1] == 0xff)
        len--;
    if (len == 0) {
        etcd_write_bytes(buf, "range_end", GW_STR("\0"));
        return;
    }
    memcpy(end, prefix.ptr, len);
    end[len - 1]++;
    etcd_write_bytes(buf, "range_end", gw_str_n(end, len));
}

void etcd_write_range(struct gw_buf *buf, gw_str prefix, gw_str after_key)
{
    etcd_write_range_to(buf, prefix, after_key, GW_STR_NONE);
}

void etcd_write_range_to(struct gw_buf *buf, gw_str prefix, gw_str after_key, gw_str end)
{
    assert(prefix.len <= CP_STORE_KEY_MAX && after_key.len <= CP_STORE_KEY_MAX);
    if (after_key.len && gw_str_cmp(after_key, prefix) >= 0) {
        char key[CP_STORE_KEY_MAX + 1];
        memcpy(key, after_key.ptr, after_key.len);
        key[after_key.len] = '\0';
        etcd_write_bytes(buf, "key", gw_str_n(key, after_key.len + 1));
    } else {
        etcd_write_bytes(buf, "key", prefix.len ? prefix : GW_STR("\0"));
    }
    etcd_write(buf, ",");
    if (end.len > 0)
        etcd_write_bytes(buf, "range_end", end);
    else
        write_range_end(buf, prefix);
}
