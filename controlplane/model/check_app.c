/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_app.h"

#include "controlplane/model/check.h"
#include "controlplane/model/check_policy.h"
#include "controlplane/model/names.h"

#include <openssl/sha.h>

#define DISPLAY_NAME_MIN 3
#define DISPLAY_NAME_MAX 64
#define DESCRIPTION_BYTES_MAX 255

_Static_assert(CP_APP_CODE_GENERATED_LEN == CP_APP_CODE_RANDOM_BYTES / 3 * 4, "no padding");
_Static_assert(CP_APP_CODE_DIGEST_LEN == 2 * SHA256_DIGEST_LENGTH, "hex");

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_word(const char *text, const char *others)
{
    if (!is_alphanumeric(text[0]))
        return false;
    for (const char *at = text; *at; at++)
        if (!is_alphanumeric(*at) && !strchr(others, *at))
            return false;
    return true;
}

static void check_key(const char *key, const cp_app *before, struct gw_error *err)
{
    size_t length = strlen(key);
    if (before && *before->key) {
        if (length > 0 && strcmp(key, before->key) != 0)
            (void)gw_fail_field(err, "key", "cannot change: make another app");
    } else if (length > 0 &&
               (length < CP_APP_KEY_MIN || length > CP_APP_KEY_MAX || !is_word(key, "-_"))) {
        (void)gw_fail_field(err, "key",
                            "must be %d to %d letters, digits, - and _, a letter or digit first",
                            CP_APP_KEY_MIN, CP_APP_KEY_MAX);
    }
}

void cp_check_app_secret(const char *secret, struct gw_error *err)
{
    size_t length = strlen(secret);
    if (length < CP_APP_SECRET_MIN || length > CP_APP_SECRET_MAX || !is_word(secret, "_-!@#$%"))
        (void)gw_fail_field(err, "secret",
                            "must be %d to %d letters, digits and _ - ! @ # $ %%, a letter or "
                            "digit first",
                            CP_APP_SECRET_MIN, CP_APP_SECRET_MAX);
}

int cp_check_app(const cp_app *app, const cp_app *before, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    check_key(app->key, before, err);
    if (*app->secret)
        cp_check_app_secret(app->secret, err);
    cp_check_display_name(app->display_name, app->name, DISPLAY_NAME_MIN, DISPLAY_NAME_MAX, err);
    cp_check_bytes(app->description, DESCRIPTION_BYTES_MAX, "description", err);
    if (app->ip_access)
        cp_check_ip_access(app->ip_access, err);
    if (app->account[0])
        cp_refuse_for_now(err, "account");
    return err->violation_count > 0 ? -1 : 0;
}

int cp_check_authorization(const cp_authorization *authorization, struct gw_error *err)
{
    int failed = cp_name_check(CP_KIND_API, authorization->api, "api", err);
    if (authorization->environment[0])
        failed |=
            cp_name_check(CP_KIND_ENVIRONMENT, authorization->environment, "environment", err);
    return failed;
}

/* ---- codes */

int cp_check_app_code(const cp_app_code *code, struct gw_error *err)
{
    const char *text = code->code;
    size_t length = strlen(text);
    if (length < CP_APP_CODE_MIN || length > CP_APP_CODE_MAX)
        return gw_fail_field(err, "code", "must be %d to %d characters", CP_APP_CODE_MIN,
                             CP_APP_CODE_MAX);
    if (!is_alphanumeric(text[0]) && !strchr("+/", text[0]))
        return gw_fail_field(err, "code", "must begin with a letter, a digit, + or /");
    for (size_t i = 1; i < length; i++)
        if (!is_alphanumeric(text[i]) && !strchr("+/_!@#$%-=", text[i]))
            return gw_fail_field(err, "code",
                                 "must be of letters, digits and + / _ ! @ # $ %% - =");
    return 0;
}

void cp_app_code_from_random(const unsigned char bytes[CP_APP_CODE_RANDOM_BYTES],
                             char ret_code[CP_APP_CODE_GENERATED_LEN + 1])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = ret_code;
    for (size_t i = 0; i < CP_APP_CODE_RANDOM_BYTES; i += 3) {
        unsigned bits = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        for (unsigned shift = 24; shift > 0; shift -= 6)
            *at++ = alphabet[bits >> (shift - 6) & 63];
    }
    *at = '\0';
}

void cp_app_code_digest(gw_str code, char ret_digest[CP_APP_CODE_DIGEST_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)code.ptr, code.len, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        ret_digest[2 * i] = digits[digest[i] >> 4];
        ret_digest[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_digest[CP_APP_CODE_DIGEST_LEN] = '\0';
}
