/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/store/seal.h"

#include "common/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SAME_KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OTHER_KEY "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const struct cp_seal_place place = {"certificates/shop", "private_key_pem"};

struct fixture {
    char dir[32], path[64];
    struct gw_arena arena;
    struct gw_error err;
};

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/seal_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/keys", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->dir);
    gw_arena_done(&f->arena);
    free(f);
    return 0;
}

static void write_file(struct fixture *f, gw_str text)
{
    FILE *file = fopen(f->path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
}

static struct cp_seal *load(struct fixture *f, const char *text)
{
    struct cp_seal *seal = NULL;
    write_file(f, gw_str_from(text));
    if (cp_seal_load(f->path, &seal, &f->err))
        fail_msg("%s", f->err.message);
    return seal;
}

static gw_str sealed_by(struct fixture *f, const struct cp_seal *seal, const char *secret)
{
    gw_str sealed;
    if (cp_seal_close(seal, place, gw_str_from(secret), &f->arena, &sealed, &f->err))
        fail_msg("%s", f->err.message);
    return sealed;
}

static void opens(struct fixture *f, const struct cp_seal *seal, gw_str sealed, const char *secret)
{
    gw_str opened;
    if (cp_seal_open(seal, place, sealed, &f->arena, &opened, &f->err))
        fail_msg("%s", f->err.message);
    assert_string_equal(opened.ptr, secret);
    assert_int_equal(opened.len, strlen(secret));
}

static void refuses(struct fixture *f, const struct cp_seal *seal, struct cp_seal_place where,
                    gw_str sealed, enum gw_code code)
{
    gw_str opened;
    assert_int_equal(cp_seal_open(seal, where, sealed, &f->arena, &opened, &f->err), -1);
    assert_int_equal(f->err.code, code);
}

static void a_secret_comes_back(void **state)
{
    struct fixture *f = *state;
    struct cp_seal *seal = load(f, HEX_KEY "\n");
    opens(f, seal, sealed_by(f, seal, "the secret"), "the secret");
    opens(f, seal, sealed_by(f, seal, ""), "");
    gw_str once = sealed_by(f, seal, "the secret"), again = sealed_by(f, seal, "the secret");
    assert_false(gw_str_eq(once, again)); /* a nonce of its own */
    assert_null(memmem(once.ptr, once.len, "the secret", 10));
    cp_seal_free(seal);
}

static void files_may_be_raw_base64_or_hex(void **state)
{
    struct fixture *f = *state;
    char raw[CP_SEAL_KEY_BYTES];
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (char)i;
    struct cp_seal *hex = load(f, "# a comment\n\n  " HEX_KEY "\r\n");
    struct cp_seal *base64 = load(f, SAME_KEY "  # the first");
    struct cp_seal *bytes = NULL;
    write_file(f, gw_str_n(raw, sizeof raw));
    assert_int_equal(cp_seal_load(f->path, &bytes, &f->err), 0);
    opens(f, base64, sealed_by(f, hex, "x"), "x");
    opens(f, bytes, sealed_by(f, base64, "y"), "y");
    cp_seal_free(hex);
    cp_seal_free(base64);
    cp_seal_free(bytes);
}

static void bad_files_are_refused_without_repeating_them(void **state)
{
    struct fixture *f = *state;
    struct cp_seal *seal = NULL;
    static const char *const bad[] = {
        "",          "# nothing",       "too-short",
        HEX_KEY "0", HEX_KEY "\nshort", "AAECAwQFBgcICQoLDA0ODxAREhM="};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        f->err = GW_ERROR_NONE;
        write_file(f, gw_str_from(bad[i]));
        assert_int_equal(cp_seal_load(f->path, &seal, &f->err), -1);
        assert_non_null(strstr(f->err.message, "--seal-key-file"));
        assert_null(strstr(f->err.message, "short"));
        assert_null(strstr(f->err.message, "0102"));
    }
    unlink(f->path);
    f->err = GW_ERROR_NONE;
    assert_int_equal(cp_seal_load(f->path, &seal, &f->err), -1);
    assert_non_null(strstr(f->err.message, "No such file"));
    assert_null(seal);
}

static void the_first_key_seals_and_all_open(void **state)
{
    struct fixture *f = *state;
    struct cp_seal *before = load(f, HEX_KEY "\n");
    struct cp_seal *rotated = load(f, OTHER_KEY "\n" HEX_KEY "\n");
    struct cp_seal *after = load(f, OTHER_KEY "\n");
    gw_str old = sealed_by(f, before, "old"), fresh = sealed_by(f, rotated, "new");
    opens(f, rotated, old, "old");
    opens(f, after, fresh, "new");
    assert_true(cp_seal_is_current(rotated, fresh));
    assert_false(cp_seal_is_current(rotated, old));
    assert_false(cp_seal_is_current(NULL, old));
    refuses(f, after, place, old, GW_FAILED_PRECONDITION);
    assert_string_equal(f->err.reason, CP_SEAL_NO_KEY);
    assert_non_null(strstr(f->err.message, f->path));
    cp_seal_free(before);
    cp_seal_free(rotated);
    cp_seal_free(after);
}

static void a_sealed_value_opens_only_whole_and_in_its_place(void **state)
{
    struct fixture *f = *state;
    struct cp_seal *seal = cp_seal_new_random();
    gw_str sealed = sealed_by(f, seal, "secret");
    struct cp_seal_place other_name = {"certificates/other", place.field};
    struct cp_seal_place other_field = {place.name, "token"};
    refuses(f, seal, other_name, sealed, GW_INTERNAL);
    refuses(f, seal, other_field, sealed, GW_INTERNAL);
    char *bytes = (char *)(uintptr_t)sealed.ptr;
    for (size_t i = 9; i < sealed.len; i++) { /* behind the key's id */
        bytes[i] ^= 1;
        refuses(f, seal, place, sealed, GW_INTERNAL);
        bytes[i] ^= 1;
    }
    for (size_t len = 0; len < sealed.len; len++)
        refuses(f, seal, place, gw_str_n(sealed.ptr, len), GW_INTERNAL);
    cp_seal_free(seal);
}

static void without_keys_it_says_what_to_do(void **state)
{
    struct fixture *f = *state;
    gw_str sealed;
    assert_int_equal(cp_seal_close(NULL, place, GW_STR("s"), &f->arena, &sealed, &f->err), -1);
    assert_int_equal(f->err.code, GW_FAILED_PRECONDITION);
    assert_non_null(strstr(f->err.message, "start it with --seal-key-file"));
    struct cp_seal *seal = cp_seal_new_random();
    refuses(f, NULL, place, sealed_by(f, seal, "s"), GW_FAILED_PRECONDITION);
    assert_non_null(strstr(f->err.message, "needs --seal-key-file"));
    cp_seal_free(seal);
}

static void a_file_is_made_once_for_its_owner_alone(void **state)
{
    struct fixture *f = *state;
    struct cp_seal *first = NULL, *second = NULL;
    struct stat file;
    bool made = false;
    assert_int_equal(cp_seal_load_or_make(f->path, &first, &made, &f->err), 0);
    assert_true(made);
    assert_int_equal(stat(f->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(cp_seal_load_or_make(f->path, &second, &made, &f->err), 0);
    assert_false(made);
    opens(f, second, sealed_by(f, first, "kept"), "kept");
    cp_seal_free(first);
    cp_seal_free(second);
    first = NULL;
    assert_int_equal(cp_seal_load_or_make("/nowhere/at/all", &first, &made, &f->err), -1);
    assert_non_null(strstr(f->err.message, "/nowhere/at/all"));
}

static void a_file_that_others_can_read_is_told(void **state)
{
    static const mode_t modes[] = {0600, 0640, 0604, 0400};
    struct fixture *f = *state;
    struct cp_seal *seal;
    bool made;
    assert_int_equal(cp_seal_load_or_make(f->path, &seal, &made, &f->err), 0);
    assert_null(cp_seal_exposed_file(seal));
    cp_seal_free(seal);
    for (size_t i = 0; i < GW_ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod(f->path, modes[i]), 0);
        assert_int_equal(cp_seal_load(f->path, &seal, &f->err), 0);
        const char *file = cp_seal_exposed_file(seal);
        assert_true(modes[i] & 0077 ? file && strcmp(file, f->path) == 0 : !file);
        cp_seal_free(seal);
    }
    seal = cp_seal_new_random();
    assert_null(cp_seal_exposed_file(seal));
    cp_seal_free(seal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_secret_comes_back),
        TEST(files_may_be_raw_base64_or_hex),
        TEST(bad_files_are_refused_without_repeating_them),
        TEST(the_first_key_seals_and_all_open),
        TEST(a_sealed_value_opens_only_whole_and_in_its_place),
        TEST(without_keys_it_says_what_to_do),
        TEST(a_file_is_made_once_for_its_owner_alone),
        TEST(a_file_that_others_can_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
