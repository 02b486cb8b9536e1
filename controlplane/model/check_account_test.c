/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_account.h"

#include "common/test.h"

static struct gw_error err;

static bool violates(const char *field)
{
    for (unsigned i = 0; i < err.violation_count; i++)
        if (strcmp(err.violations[i].field, field) == 0)
            return true;
    return false;
}

static char *of(char c, size_t count)
{
    static char text[600];
    memset(text, c, count);
    text[count] = '\0';
    return text;
}

static void accounts(void **state)
{
    (void)state;
    cp_account account = CP_INIT(ACCOUNT);
    account.name = (char[]){"accounts/acme"};
    assert_int_equal(cp_check_account(&account, &err), 0);
    account.description = of('d', 255);
    assert_int_equal(cp_check_account(&account, &err), 0);
    account.description = of('d', 256);
    assert_int_equal(cp_check_account(&account, &err), -1);
    assert_true(violates("description"));
    account.description = (char[]){""};
    account.display_name = of('n', 65);
    assert_int_equal(cp_check_account(&account, &err), -1);
    assert_true(violates("display_name"));
}

static int check_claims(char **claims, size_t count)
{
    cp_user user = CP_INIT(USER);
    user.name = (char[]){"accounts/acme/users/ann"};
    user.claims = claims;
    user.n_claims = count;
    return cp_check_user(&user, &err);
}

static void claims(void **state)
{
    (void)state;
    char good[][64] = {"sub=ann", "sub==", "https://x/group=a=b c", "e=\xc3\xa9"};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        assert_int_equal(check_claims((char *[]){good[i]}, 1), 0);
    char bad[][64] = {"", "sub", "=ann", "sub=", "s b=ann", "s\xc3\xa9=a"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        assert_int_equal(check_claims((char *[]){bad[i]}, 1), -1);
        assert_true(violates("claims[0]"));
    }
    char longest[400];
    memset(longest, 'a', sizeof(longest));
    longest[64] = '=';
    longest[65 + 255] = '\0';
    assert_int_equal(check_claims((char *[]){longest}, 1), 0);
    assert_int_equal(check_claims((char *[]){longest + 1}, 1), 0);
    longest[65 + 255] = 'a';
    longest[65 + 256] = '\0';
    assert_int_equal(check_claims((char *[]){longest}, 1), -1);
    assert_int_equal(check_claims((char *[]){good[0], good[1], good[0]}, 3), -1);
    assert_true(violates("claims[2]"));
    char many[CP_USER_CLAIMS_MAX + 1][8], *list[CP_USER_CLAIMS_MAX + 1];
    for (size_t i = 0; i < GW_ARRAY_LEN(list); i++) {
        list[i] = memcpy(many[i], "sub=a", 6);
        many[i][4] = (char)('a' + i);
    }
    assert_int_equal(check_claims(list, CP_USER_CLAIMS_MAX), 0);
    assert_int_equal(check_claims(list, CP_USER_CLAIMS_MAX + 1), -1);
    assert_true(violates("claims"));
}

static int check_grant(const char *role, const char *limit, size_t limit_count, size_t grant_count)
{
    char *limits[CP_USER_LIMITS_MAX + 1];
    Penstock__Admin__V1__Grant grant = CP_INIT(GRANT), *grants[CP_USER_GRANTS_MAX + 1];
    for (size_t i = 0; i < GW_ARRAY_LEN(limits); i++)
        limits[i] = (char *)(uintptr_t)limit;
    for (size_t i = 0; i < GW_ARRAY_LEN(grants); i++)
        grants[i] = &grant;
    grant.role = (char *)(uintptr_t)role;
    grant.limits = limits;
    grant.n_limits = limit_count;
    cp_user user = CP_INIT(USER);
    user.name = (char[]){"accounts/acme/users/ann"};
    user.grants = grants;
    user.n_grants = grant_count;
    return cp_check_user(&user, &err);
}

static void grants(void **state)
{
    (void)state;
    assert_int_equal(check_grant("operator", NULL, 0, 1), 0);
    assert_int_equal(check_grant("my-role", "groups/shop", CP_USER_LIMITS_MAX, CP_USER_GRANTS_MAX),
                     0);
    assert_int_equal(check_grant("", NULL, 0, 1), -1);
    assert_true(violates("grants[0].role"));
    assert_int_equal(check_grant("my role", NULL, 0, 1), -1);
    assert_true(violates("grants[0].role"));
    assert_int_equal(check_grant("viewer", "groups/shop", CP_USER_LIMITS_MAX + 1, 1), -1);
    assert_true(violates("grants[0].limits"));
    assert_int_equal(check_grant("viewer", NULL, 0, CP_USER_GRANTS_MAX + 1), -1);
    assert_true(violates("grants"));
    static const char *const limits[] = {
        "", "shop", "groups/-", "groups/shop/apis/a", "ticketKeys/tls", "accounts/1"};
    for (size_t i = 0; i < GW_ARRAY_LEN(limits); i++) {
        assert_int_equal(check_grant("viewer", limits[i], 1, 1), -1);
        assert_true(violates("grants[0].limits"));
    }
}

static int check_secret(char *secret)
{
    cp_access_key key = CP_INIT(ACCESS_KEY);
    key.secret = secret;
    return cp_check_access_key(&key, &err);
}

static void secrets(void **state)
{
    (void)state;
    assert_int_equal(check_secret((char[]){""}), 0); /* made here */
    assert_int_equal(check_secret((char[]){"aA0-_.~+/=aA0-_."}), 0);
    assert_int_equal(check_secret(of('s', 128)), 0);
    assert_int_equal(check_secret(of('s', 15)), -1);
    assert_true(violates("secret"));
    assert_int_equal(check_secret(of('s', 129)), -1);
    assert_int_equal(check_secret((char[]){"0123456789abcde:"}), -1); /* it ends the AK */
    assert_int_equal(check_secret((char[]){"0123456789abcde "}), -1);
}

static void letters(void **state)
{
    (void)state;
    char text[8];
    const unsigned char bytes[] = {255, 0, 61, 62, 248, 247, 1};
    assert_true(cp_letters_from_random(bytes, sizeof(bytes), text, 5));
    assert_string_equal(text, "A9A9B");
    assert_false(cp_letters_from_random(bytes, sizeof(bytes), text, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts), cmocka_unit_test(claims),  cmocka_unit_test(grants),
        cmocka_unit_test(secrets),  cmocka_unit_test(letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
