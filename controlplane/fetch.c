/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/fetch.h"

#include "common/buf.h"

#include <curl/curl.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 5000

struct transfer {
    struct gw_buf text;
    bool is_too_large;
    int64_t max_age_s;
    const atomic_bool *stop;
};

static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    (void)size; /* 1 */
    if (gw_buf_append(&transfer->text, gw_str_n(bytes, count)) == 0)
        return count;
    transfer->is_too_large = true;
    return 0;
}

/* "Cache-Control: public, max-age=3600" */
static size_t take_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    gw_str value = gw_str_n(bytes, size * count);
    gw_str name = gw_str_split(&value, ':');
    while (gw_str_eq_nocase(name, GW_STR("Cache-Control")) && value.ptr) {
        gw_str directive = gw_str_trim(gw_str_split(&value, ','));
        gw_str word = gw_str_split(&directive, '=');
        uint64_t seconds;
        if (gw_str_eq_nocase(word, GW_STR("no-store")) ||
            gw_str_eq_nocase(word, GW_STR("no-cache")))
            transfer->max_age_s = 0;
        if (gw_str_eq_nocase(word, GW_STR("max-age")) && directive.ptr &&
            gw_str_to_u64(gw_str_trim(directive), INT32_MAX, &seconds) == 0)
            transfer->max_age_s = (int64_t)seconds;
    }
    return size * count;
}

static int is_stopped(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *transfer = arg;
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(transfer->stop);
}

static void set_up(CURL *easy, const char *uri, const char *ca_file, struct transfer *transfer)
{
    curl_easy_setopt(easy, CURLOPT_URL, uri);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (strncmp(uri, "http://", 7) == 0) /* to loopback: not by way of a proxy of the environment */
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)CP_FETCH_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "penstock-controlplane/" PENSTOCK_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, is_stopped);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
}

static int run(CURL *easy, const struct transfer *transfer, struct gw_error *err)
{
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->is_too_large)
        return gw_fail(err, GW_UNAVAILABLE, "the answer is larger than %d bytes",
                       CP_JWKS_MAX_BYTES);
    if (code != CURLE_OK)
        return gw_fail(err, GW_UNAVAILABLE, "%s", *why ? why : curl_easy_strerror(code));
    if (status != 200)
        return gw_fail(err, GW_UNAVAILABLE, "the answer is %ld%s", status,
                       status >= 300 && status < 400 ? ", and redirects are not followed" : "");
    return 0;
}

int cp_fetch(const char *uri, const char *ca_file, const atomic_bool *stop, struct gw_arena *arena,
             gw_str *ret_text, int64_t *ret_max_age_s, struct gw_error *err)
{
    struct transfer transfer = {.max_age_s = -1, .stop = stop};
    CURL *easy = curl_easy_init();
    if (!easy)
        return gw_fail(err, GW_INTERNAL, "curl_easy_init failed");
    gw_buf_init(&transfer.text, CP_JWKS_MAX_BYTES);
    set_up(easy, uri, ca_file, &transfer);
    int result = run(easy, &transfer, err);
    if (result == 0) {
        *ret_text = gw_arena_dup(arena, gw_buf_view(&transfer.text));
        *ret_max_age_s = transfer.max_age_s;
    }
    gw_buf_done(&transfer.text);
    curl_easy_cleanup(easy);
    return result;
}
