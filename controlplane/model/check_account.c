/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_account.h"

#include "controlplane/model/check.h"
#include "controlplane/model/names.h"

#include <stdio.h>

#define DISPLAY_NAME_MIN 1
#define DISPLAY_NAME_MAX 64
#define DESCRIPTION_BYTES_MAX 255
#define CLAIM_NAME_MAX 64
#define CLAIM_VALUE_MAX 255

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_of(gw_str text, size_t min, size_t max, const char *marks)
{
    if (text.len < min || text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_alphanumeric(text.ptr[i]) && !strchr(marks, text.ptr[i]))
            return false;
    return true;
}

int cp_check_account(const cp_account *account, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    cp_check_display_name(account->display_name, account->name, DISPLAY_NAME_MIN, DISPLAY_NAME_MAX,
                          err);
    cp_check_bytes(account->description, DESCRIPTION_BYTES_MAX, "description", err);
    return err->violation_count > 0 ? -1 : 0;
}

/* ---- users */

bool cp_claim_name_is(gw_str name)
{
    return is_of(name, 1, CLAIM_NAME_MAX, "-_.:/");
}

bool cp_claim_parse(gw_str claim, gw_str *ret_name, gw_str *ret_value)
{
    *ret_value = claim;
    *ret_name = gw_str_split(ret_value, '=');
    return ret_value->ptr && cp_claim_name_is(*ret_name) && ret_value->len > 0 &&
           ret_value->len <= CLAIM_VALUE_MAX;
}

gw_str cp_claim_key(struct gw_arena *arena, gw_str account_id, gw_str claim)
{
    return gw_arena_printf(arena, "%.*s/%.*s", GW_STR_ARG(account_id), GW_STR_ARG(claim));
}

static void check_claims(const cp_user *user, struct gw_error *err)
{
    if (user->n_claims > CP_USER_CLAIMS_MAX)
        (void)gw_fail_field(err, "claims", "must be at most %d", CP_USER_CLAIMS_MAX);
    for (size_t i = 0; i < user->n_claims && i < CP_USER_CLAIMS_MAX; i++) {
        char field[32];
        gw_str name, value;
        (void)snprintf(field, sizeof(field), "claims[%zu]", i);
        if (!cp_claim_parse(gw_str_from(user->claims[i]), &name, &value))
            (void)gw_fail_field(err, field,
                                "must be \"name=value\", the name 1 to %d of letters, digits or "
                                "\"-_.:/\", the value 1 to %d bytes",
                                CLAIM_NAME_MAX, CLAIM_VALUE_MAX);
        for (size_t j = 0; j < i; j++)
            if (strcmp(user->claims[i], user->claims[j]) == 0)
                (void)gw_fail_field(err, field, "stands here twice");
    }
}

static void check_grant(const Penstock__Admin__V1__Grant *grant, size_t index, struct gw_error *err)
{
    char field[48];
    gw_str role = gw_str_from(grant->role);
    (void)snprintf(field, sizeof(field), "grants[%zu].role", index);
    if (!is_of(role, 1, CP_ROLE_ID_MAX, "-"))
        (void)gw_fail_field(err, field,
                            "required: viewer, operator, administrator, or a custom role");
    (void)snprintf(field, sizeof(field), "grants[%zu].limits", index);
    if (grant->n_limits > CP_USER_LIMITS_MAX)
        (void)gw_fail_field(err, field, "must be at most %d", CP_USER_LIMITS_MAX);
    for (size_t i = 0; i < grant->n_limits && i < CP_USER_LIMITS_MAX; i++)
        if (!cp_name_stands_alone(grant->limits[i])) {
            (void)gw_fail_field(err, field,
                                "must be names of resources that stand alone: \"groups/shop\"");
            return;
        }
}

int cp_check_user(const cp_user *user, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    cp_check_display_name(user->display_name, user->name, DISPLAY_NAME_MIN, DISPLAY_NAME_MAX, err);
    cp_check_bytes(user->description, DESCRIPTION_BYTES_MAX, "description", err);
    check_claims(user, err);
    if (user->n_grants > CP_USER_GRANTS_MAX)
        (void)gw_fail_field(err, "grants", "must be at most %d", CP_USER_GRANTS_MAX);
    for (size_t i = 0; i < user->n_grants && i < CP_USER_GRANTS_MAX; i++)
        check_grant(user->grants[i], i, err);
    return err->violation_count > 0 ? -1 : 0;
}

/* ---- access keys */

int cp_check_access_key(const cp_access_key *key, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    gw_str secret = gw_str_from(key->secret);
    if (secret.len > 0 &&
        !is_of(secret, CP_ACCESS_KEY_SECRET_MIN, CP_ACCESS_KEY_SECRET_MAX, "-_.~+/="))
        (void)gw_fail_field(err, "secret", "must be %d to %d letters, digits or \"-_.~+/=\"",
                            CP_ACCESS_KEY_SECRET_MIN, CP_ACCESS_KEY_SECRET_MAX);
    return err->violation_count > 0 ? -1 : 0;
}

bool cp_letters_from_random(const unsigned char *bytes, size_t count, char *ret_text, size_t len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t at = 0;
    for (size_t i = 0; i < count && at < len; i++)
        if (bytes[i] < 4 * (sizeof(letters) - 1)) /* each letter as likely as any other */
            ret_text[at++] = letters[bytes[i] % (sizeof(letters) - 1)];
    ret_text[at] = '\0';
    return at == len;
}
