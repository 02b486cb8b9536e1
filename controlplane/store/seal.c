/* SPDX-License-Identifier: Apache-2.0 */
/* A sealed value: version, id of the key, nonce, the encrypted secret, tag. */
#include "controlplane/store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1
#define ID_BYTES 8
#define NONCE_BYTES 12 /* random: with 2^32 values under a key two alike are still unlikely */
#define TAG_BYTES 16
#define HEAD_BYTES (1 + ID_BYTES + NONCE_BYTES)
#define ID_LABEL "penstock seal key id"
#define BASE64_CHARS 44 /* of a key, with the "=" at the end */
#define OPTION "--seal-key-file"

struct key {
    unsigned char bytes[CP_SEAL_KEY_BYTES];
    unsigned char id[ID_BYTES]; /* made of the key: the same in every replica */
};

struct cp_seal {
    struct key keys[CP_SEAL_KEYS_MAX];
    size_t count;
    char *path; /* owned; NULL: of no file */
    bool is_exposed;
};

void cp_seal_free(struct cp_seal *seal)
{
    if (!seal)
        return;
    free(seal->path);
    OPENSSL_cleanse(seal, sizeof *seal);
    free(seal);
}

static void add_key(struct cp_seal *seal, const unsigned char bytes[CP_SEAL_KEY_BYTES])
{
    struct key *key = &seal->keys[seal->count++];
    unsigned char digest[EVP_MAX_MD_SIZE];
    memcpy(key->bytes, bytes, CP_SEAL_KEY_BYTES);
    if (!HMAC(EVP_sha256(), bytes, CP_SEAL_KEY_BYTES, (const unsigned char *)ID_LABEL,
              strlen(ID_LABEL), digest, NULL))
        gw_panic("OpenSSL has no HMAC-SHA256");
    memcpy(key->id, digest, ID_BYTES);
}

static void random_bytes(unsigned char *bytes, size_t count)
{
    if (RAND_bytes(bytes, (int)count) != 1)
        gw_panic("there are no random numbers");
}

struct cp_seal *cp_seal_new_random(void)
{
    unsigned char bytes[CP_SEAL_KEY_BYTES];
    struct cp_seal *seal = gw_calloc(1, sizeof *seal);
    random_bytes(bytes, sizeof bytes);
    add_key(seal, bytes);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return seal;
}

/* ---- the file */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool key_from_hex(gw_str text, unsigned char ret_key[CP_SEAL_KEY_BYTES])
{
    if (text.len != 2 * CP_SEAL_KEY_BYTES)
        return false;
    for (size_t i = 0; i < CP_SEAL_KEY_BYTES; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_key[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool key_from_base64(gw_str text, unsigned char ret_key[CP_SEAL_KEY_BYTES])
{
    unsigned char decoded[BASE64_CHARS / 4 * 3];
    if (text.len != BASE64_CHARS || text.ptr[BASE64_CHARS - 1] != '=' ||
        text.ptr[BASE64_CHARS - 2] == '=' ||
        EVP_DecodeBlock(decoded, (const unsigned char *)text.ptr, BASE64_CHARS) !=
            (int)sizeof decoded)
        return false;
    memcpy(ret_key, decoded, CP_SEAL_KEY_BYTES);
    OPENSSL_cleanse(decoded, sizeof decoded);
    return true;
}

/* What a line says is never repeated: it may be a key with a typing error. */
static int add_line(struct cp_seal *seal, gw_str line, unsigned number, const char *path,
                    struct gw_error *err)
{
    unsigned char bytes[CP_SEAL_KEY_BYTES];
    line = gw_str_split(&line, '#');
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    line = gw_str_trim(line);
    if (line.len == 0)
        return 0;
    if (!key_from_hex(line, bytes) && !key_from_base64(line, bytes))
        return gw_fail_field(err, OPTION, "line %u of %s is no key of 32 bytes in base64 or hex",
                             number, path);
    if (seal->count == CP_SEAL_KEYS_MAX)
        return gw_fail_field(err, OPTION, "%s has more than %d keys", path, CP_SEAL_KEYS_MAX);
    add_key(seal, bytes);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

static int add_text(struct cp_seal *seal, gw_str text, const char *path, struct gw_error *err)
{
    if (text.len == CP_SEAL_KEY_BYTES) {
        add_key(seal, (const unsigned char *)text.ptr);
        return 0;
    }
    for (unsigned number = 1; text.ptr; number++)
        if (add_line(seal, gw_str_split(&text, '\n'), number, path, err) < 0)
            return -1;
    if (seal->count == 0)
        return gw_fail_field(err, OPTION, "%s has no key", path);
    return 0;
}

static bool is_exposed(FILE *file)
{
    struct stat stat;
    return fstat(fileno(file), &stat) == 0 && S_ISREG(stat.st_mode) && (stat.st_mode & 0044) != 0;
}

static int read_file(const char *path, char *bytes, size_t *ret_len, bool *ret_exposed,
                     struct gw_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return gw_fail_field(err, OPTION, "%s: %s", path, strerror(errno));
    setbuf(file, NULL); /* no second copy of the keys */
    *ret_len = fread(bytes, 1, CP_SEAL_FILE_MAX + 1, file);
    bool failed = ferror(file) != 0;
    *ret_exposed = is_exposed(file);
    fclose(file);
    if (failed)
        return gw_fail_field(err, OPTION, "%s cannot be read", path);
    if (*ret_len > CP_SEAL_FILE_MAX)
        return gw_fail_field(err, OPTION, "%s is larger than %d bytes", path, CP_SEAL_FILE_MAX);
    return 0;
}

int cp_seal_load(const char *path, struct cp_seal **ret_seal, struct gw_error *err)
{
    char bytes[CP_SEAL_FILE_MAX + 1];
    size_t len = 0;
    bool exposed = false;
    if (read_file(path, bytes, &len, &exposed, err) < 0)
        return -1;
    struct cp_seal *seal = gw_calloc(1, sizeof *seal);
    seal->path = gw_strdup(path);
    seal->is_exposed = exposed;
    int result = add_text(seal, gw_str_n(bytes, len), path, err);
    OPENSSL_cleanse(bytes, sizeof bytes);
    if (result < 0)
        cp_seal_free(seal);
    else
        *ret_seal = seal;
    return result;
}

const char *cp_seal_exposed_file(const struct cp_seal *seal)
{
    return seal->is_exposed ? seal->path : NULL;
}

static int write_all(int file, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(file, text, len);
        if (n < 0 && errno != EINTR)
            return -1;
        text += GW_MAX(n, 0);
        len -= (size_t)GW_MAX(n, 0);
    }
    return fsync(file);
}

/* -1 with errno. Under another name first: a key that is half written would look like a wrong one.
 */
static int make_file(const char *path, const char *part)
{
    unsigned char bytes[CP_SEAL_KEY_BYTES];
    char text[2 * CP_SEAL_KEY_BYTES + 2];
    (void)unlink(part); /* of one that ended meanwhile */
    int file = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return -1;
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(text + 2 * i, 4, "%02x\n", bytes[i]);
    int failed = write_all(file, text, sizeof text - 1);
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(text, sizeof text);
    if (close(file) < 0 || failed)
        return -1;
    return rename(part, path);
}

int cp_seal_load_or_make(const char *path, struct cp_seal **ret_seal, bool *ret_made,
                         struct gw_error *err)
{
    struct gw_arena arena = {0};
    int failed = 0;
    *ret_made = access(path, F_OK) < 0 && errno == ENOENT;
    if (*ret_made)
        failed = make_file(path, gw_arena_printf(&arena, "%s.part", path).ptr);
    gw_arena_done(&arena);
    if (failed)
        return gw_fail(err, GW_FAILED_PRECONDITION, "cannot make a key to seal secrets, %s: %s",
                       path, strerror(errno));
    return cp_seal_load(path, ret_seal, err);
}

/* ---- values */

/* What the value is bound to beside the secret. */
static gw_str bound_to(struct gw_arena *arena, struct cp_seal_place place)
{
    return gw_arena_printf(arena, "%s#%s", place.name, place.field);
}

static int encrypt(EVP_CIPHER_CTX *context, const struct key *key, gw_str bound, gw_str secret,
                   unsigned char *sealed)
{
    int len, end;
    unsigned char *body = sealed + HEAD_BYTES;
    if (EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->bytes, sealed + 1 + ID_BYTES) !=
            1 ||
        EVP_EncryptUpdate(context, NULL, &len, (const unsigned char *)bound.ptr, (int)bound.len) !=
            1 ||
        EVP_EncryptUpdate(context, body, &len, (const unsigned char *)secret.ptr,
                          (int)secret.len) != 1 ||
        EVP_EncryptFinal_ex(context, body + len, &end) != 1)
        return -1;
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + secret.len) == 1
               ? 0
               : -1;
}

static int fail_without_keys(struct gw_error *err)
{
    (void)gw_fail(
        err, GW_FAILED_PRECONDITION,
        "the control plane has no key for secrets: start it with " OPTION
        ", a file with a line of 32 random bytes in base64 (openssl rand -base64 32), the "
        "same for all replicas");
    return gw_error_reason(err, CP_SEAL_NO_KEY);
}

int cp_seal_close(const struct cp_seal *seal, struct cp_seal_place place, gw_str secret,
                  struct gw_arena *arena, gw_str *ret_sealed, struct gw_error *err)
{
    if (!seal)
        return fail_without_keys(err);
    if (secret.len > CP_SEAL_SECRET_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a secret has at most %d bytes",
                       CP_SEAL_SECRET_MAX);
    size_t total = HEAD_BYTES + secret.len + TAG_BYTES;
    unsigned char *sealed = gw_arena_alloc(arena, total);
    sealed[0] = VERSION;
    memcpy(sealed + 1, seal->keys[0].id, ID_BYTES);
    random_bytes(sealed + 1 + ID_BYTES, NONCE_BYTES);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int failed =
        !context || encrypt(context, &seal->keys[0], bound_to(arena, place), secret, sealed);
    EVP_CIPHER_CTX_free(context);
    if (failed)
        return gw_fail(err, GW_INTERNAL, "OpenSSL does not seal");
    *ret_sealed = gw_str_n((const char *)sealed, total);
    return 0;
}

static const struct key *find_key(const struct cp_seal *seal, const unsigned char *id)
{
    for (size_t i = 0; seal && i < seal->count; i++)
        if (memcmp(seal->keys[i].id, id, ID_BYTES) == 0)
            return &seal->keys[i];
    return NULL;
}

static bool is_whole(gw_str sealed)
{
    return sealed.len >= HEAD_BYTES + TAG_BYTES && sealed.ptr[0] == VERSION;
}

static int decrypt(EVP_CIPHER_CTX *context, const struct key *key, gw_str bound, gw_str sealed,
                   unsigned char *secret)
{
    const unsigned char *bytes = (const unsigned char *)sealed.ptr;
    size_t secret_len = sealed.len - HEAD_BYTES - TAG_BYTES;
    unsigned char tag[TAG_BYTES];
    int len, end;
    memcpy(tag, bytes + HEAD_BYTES + secret_len, TAG_BYTES);
    if (EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->bytes, bytes + 1 + ID_BYTES) !=
            1 ||
        EVP_DecryptUpdate(context, NULL, &len, (const unsigned char *)bound.ptr, (int)bound.len) !=
            1 ||
        EVP_DecryptUpdate(context, secret, &len, bytes + HEAD_BYTES, (int)secret_len) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) != 1)
        return -1;
    return EVP_DecryptFinal_ex(context, secret + len, &end) == 1 ? 0 : -1;
}

static int fail_unknown_key(const struct cp_seal *seal, gw_str sealed, struct gw_error *err)
{
    char id[2 * ID_BYTES + 1];
    for (size_t i = 0; i < ID_BYTES; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", (unsigned char)sealed.ptr[1 + i]);
    if (!seal)
        (void)gw_fail(err, GW_FAILED_PRECONDITION, "sealed with key %s, which needs " OPTION, id);
    else
        (void)gw_fail(err, GW_FAILED_PRECONDITION, "sealed with key %s, which is not in %s", id,
                      seal->path ? seal->path : "this process");
    return gw_error_reason(err, CP_SEAL_NO_KEY);
}

int cp_seal_open(const struct cp_seal *seal, struct cp_seal_place place, gw_str sealed,
                 struct gw_arena *arena, gw_str *ret_secret, struct gw_error *err)
{
    if (!is_whole(sealed) || sealed.len > HEAD_BYTES + CP_SEAL_SECRET_MAX + TAG_BYTES)
        return gw_fail(err, GW_INTERNAL, "what is sealed is damaged");
    const struct key *key = find_key(seal, (const unsigned char *)sealed.ptr + 1);
    if (!key)
        return fail_unknown_key(seal, sealed, err);
    size_t len = sealed.len - HEAD_BYTES - TAG_BYTES;
    unsigned char *secret = (unsigned char *)gw_arena_bytes(arena, len + 1);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int failed = !context || decrypt(context, key, bound_to(arena, place), sealed, secret);
    EVP_CIPHER_CTX_free(context);
    if (failed) {
        OPENSSL_cleanse(secret, len);
        return gw_fail(err, GW_INTERNAL, "what is sealed is damaged, or belongs elsewhere");
    }
    secret[len] = '\0';
    *ret_secret = gw_str_n((const char *)secret, len);
    return 0;
}

bool cp_seal_is_current(const struct cp_seal *seal, gw_str sealed)
{
    return seal && is_whole(sealed) && memcmp(sealed.ptr + 1, seal->keys[0].id, ID_BYTES) == 0;
}
