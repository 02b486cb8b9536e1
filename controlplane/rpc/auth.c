/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/auth.h"

#include "common/log.h"
#include "controlplane/model/agent_ids.h"
#include "controlplane/rpc/credentials.h"
#include "controlplane/rpc/issuer_keys.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 127
#define RETRY_MS 1000 /* of what could not be read */

struct cp_auth {
    char *file; /* owned; NULL: nothing is configured */
    pthread_mutex_t lock;
    /* Under lock. */
    struct cp_credentials *credentials; /* owned, the last good form */
    struct cp_issuer_keys *keys;        /* owned; NULL: none are fetched */
    struct cp_stamp stamp;              /* of the file as last read, good or bad */
    struct cp_stamp
        issuer_stamps[CP_ISSUERS_MAX]; /* of the JWKS files of `credentials`, likewise */
    gw_msec retry_ms;                  /* monotonic; 0: all is read */
    char why[GW_ERROR_MESSAGE_MAX];    /* it could not be read; logged */

    unsigned readings, readings_told; /* times the credentials were read */

    struct cp_directory directory; /* set before the first call */
};

/* Notes what is there now, and says whether it is something else than before. */
static bool has_changed(struct cp_auth *auth)
{
    struct cp_stamp now = cp_stamp_of(auth->file);
    bool changed = !cp_stamp_is(&now, &auth->stamp);
    auth->stamp = now;
    for (size_t i = 0; i < auth->credentials->issuer_count; i++) {
        if (!auth->credentials->issuers[i].jwks_file)
            continue;
        now = cp_stamp_of(auth->credentials->issuers[i].jwks_file);
        changed = changed || !cp_stamp_is(&now, &auth->issuer_stamps[i]);
        auth->issuer_stamps[i] = now;
    }
    return changed;
}

static void take(struct cp_auth *auth, struct cp_credentials *credentials)
{
    if (auth->keys)
        cp_issuer_keys_adopt(auth->keys, credentials);
    cp_credentials_free(auth->credentials);
    auth->credentials = credentials;
    auth->readings++;
    auth->retry_ms = 0;
    auth->why[0] = '\0';
    memcpy(auth->issuer_stamps, credentials->issuer_stamps, sizeof(auth->issuer_stamps));
}

/* A file that only the broken form names is not watched, so that one is tried again. */
static void keep_former(struct cp_auth *auth, const struct gw_error *err)
{
    auth->retry_ms = gw_clock_monotonic_ms() + RETRY_MS;
    if (strcmp(auth->why, err->message) != 0)
        gw_log(GW_LOG_ERROR, "auth", "credentials file not read, keeping the former",
               gw_kv_error(err));
    (void)snprintf(auth->why, sizeof(auth->why), "%s", err->message);
}

/* With the lock held. Stamps are taken before the reading, so a change meanwhile is seen. */
static void reload_when_changed(struct cp_auth *auth)
{
    bool is_due = auth->retry_ms && gw_clock_monotonic_ms() >= auth->retry_ms;
    if (!has_changed(auth) && !is_due)
        return;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_credentials *fresh;
    if (cp_credentials_load(auth->file, &fresh, &err)) {
        keep_former(auth, &err);
        return;
    }
    take(auth, fresh);
    gw_log(GW_LOG_INFO, "auth", "credentials file read again", gw_kv_text("file", auth->file));
}

int cp_auth_new(const char *credentials_file, struct cp_auth **ret_auth, struct gw_error *err)
{
    struct cp_stamp stamp = {0};
    struct cp_credentials *credentials = NULL;
    if (credentials_file) {
        stamp = cp_stamp_of(credentials_file);
        if (cp_credentials_load(credentials_file, &credentials, err))
            return -1;
    }
    struct cp_auth *auth = gw_calloc(1, sizeof(*auth));
    pthread_mutex_init(&auth->lock, NULL);
    auth->file = credentials_file ? gw_strdup(credentials_file) : NULL;
    auth->stamp = stamp;
    if (credentials)
        take(auth, credentials);
    *ret_auth = auth;
    return 0;
}

void cp_auth_free(struct cp_auth *auth)
{
    if (!auth)
        return;
    cp_issuer_keys_free(auth->keys);
    cp_credentials_free(auth->credentials);
    pthread_mutex_destroy(&auth->lock);
    free(auth->file);
    free(auth);
}

void cp_auth_fetch_keys(struct cp_auth *auth, cp_issuer_keys_fetch *fetch)
{
    if (!auth->file)
        return;
    auth->keys = cp_issuer_keys_new(&auth->lock, fetch);
    pthread_mutex_lock(&auth->lock);
    cp_issuer_keys_adopt(auth->keys, auth->credentials);
    pthread_mutex_unlock(&auth->lock);
}

int64_t cp_auth_fetches_failed(const struct cp_auth *auth)
{
    return auth->keys ? cp_issuer_keys_failures(auth->keys) : 0;
}

bool cp_auth_is_configured(const struct cp_auth *auth)
{
    return auth->file != NULL;
}

static int identify_local(const struct gw_rpc_caller *caller, struct cp_principal *ret_principal,
                          struct gw_error *err)
{
    if (!caller->is_loopback)
        return gw_fail(err, GW_UNAUTHENTICATED,
                       "no credentials are configured: only callers on loopback are served");
    *ret_principal =
        (struct cp_principal){.name = "local", .role = CP_ROLE_ADMINISTRATOR, .proof = "loopback"};
    return 0;
}

/* Tokens are looked up by their digest: how long that takes tells nothing about the token. */
static const struct cp_principal *find_token(const struct cp_credentials *credentials,
                                             const char *token)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)token, strlen(token), digest);
    return gw_map_get(&credentials->tokens, gw_str_n((const char *)digest, sizeof(digest)));
}

/* Out of the credentials, which may be read anew while the call goes on. */
static void copy_principal(const struct cp_principal *from, const char *proof,
                           struct gw_arena *arena, struct cp_principal *ret)
{
    *ret = *from;
    ret->proof = proof;
    ret->grants = cp_grants_copy(arena, from->grants, from->grant_count);
}

/* What the credentials file says of the caller; false: nothing. */
static bool find_listed(const struct cp_credentials *credentials,
                        const struct gw_rpc_caller *caller, struct gw_arena *arena,
                        struct cp_principal *ret)
{
    const struct cp_principal *found = NULL;
    if (caller->bearer)
        found = find_token(credentials, caller->bearer);
    else if (caller->cert_name)
        found = gw_map_get(&credentials->certificates, gw_str_from(caller->cert_name));
    if (found)
        copy_principal(found, caller->bearer ? "bearer token" : "client certificate", arena, ret);
    return found != NULL;
}

/* ---- users of accounts */

/* A role that is not there any more gives nothing. */
static void log_lost_role(const char *user, const char *role)
{
    static struct gw_log_limit limit;
    unsigned dropped = 0;
    if (gw_log_allow(&limit, 5, &dropped))
        gw_log(GW_LOG_WARN, "auth", "a grant names a role that the credentials file does not have",
               gw_kv_text("user", user), gw_kv_text("role", role), gw_kv_int("dropped", dropped));
}

/* The principal's grants have room for them. */
static void give_grants(struct cp_auth *auth, const struct cp_known_user *user,
                        struct gw_arena *arena, struct cp_principal *principal,
                        struct cp_grant *grants)
{
    pthread_mutex_lock(&auth->lock);
    for (size_t i = 0; i < user->grant_count; i++) {
        struct cp_grant grant;
        if (!cp_credentials_role(auth->credentials, user->grants[i].role_name, &grant)) {
            log_lost_role(user->name, user->grants[i].role_name);
            continue;
        }
        grant.limits = user->grants[i].limits;
        cp_principal_add(principal, grants, cp_grants_copy(arena, &grant, 1));
    }
    pthread_mutex_unlock(&auth->lock);
}

/* As the user, with the grants that it has, and `more`. */
static int be_user(struct cp_auth *auth, const struct cp_known_user *user,
                   const struct cp_principal *more, struct gw_arena *arena,
                   struct cp_principal *ret, struct gw_error *err)
{
    if (user->is_disabled)
        return gw_fail(err, GW_UNAUTHENTICATED, "%s is disabled, or its account or access key is",
                       user->name);
    size_t most = user->grant_count + more->grant_count;
    struct cp_grant *grants = GW_ARENA_ARRAY(arena, struct cp_grant, most);
    *ret = (struct cp_principal){
        .role = more->role, .proof = more->proof, .expires_s = more->expires_s};
    (void)snprintf(ret->name, sizeof(ret->name), "%s", user->name);
    give_grants(auth, user, arena, ret, grants);
    for (size_t i = 0; i < more->grant_count; i++)
        cp_principal_add(ret, grants, &more->grants[i]);
    return 0;
}

/* "{AK}:{SK}" */
static int identify_key(struct cp_auth *auth, const char *bearer, struct gw_arena *arena,
                        struct cp_principal *ret, struct gw_error *err)
{
    struct cp_known_user user = {.name = NULL};
    gw_str secret = gw_str_from(bearer);
    gw_str id = gw_str_split(&secret, ':');
    const struct cp_directory *directory = &auth->directory;
    if (directory->by_key && directory->by_key(directory->arg, id, secret, arena, &user, err) < 0)
        return -1;
    if (!user.name)
        return gw_fail(err, GW_UNAUTHENTICATED,
                       "the access key is not known, or its secret is wrong");
    struct cp_principal nothing = {.proof = "access key"};
    return be_user(auth, &user, &nothing, arena, ret, err);
}

/* ---- JWTs */

/* What a verified token says; in the call's arena. */
struct token {
    struct cp_principal principal; /* without a user */
    struct cp_texts accounts;      /* it may be a user of these, */
    const char **claims;           /* by one of these: "sub=ann" */
    size_t claim_count;
};

/* The issuer stands in the name, so that nobody of one can be taken for somebody of another one. */
static int name_principal(const struct cp_issuer *issuer, const json_t *claims,
                          struct cp_principal *principal, struct gw_error *err)
{
    const char *name = cp_claim_text(claims, issuer->principal_claim);
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > NAME_MAX_BYTES)
        return gw_fail(err, GW_UNAUTHENTICATED, "the JWT's %s is no text of 1 to 127 bytes",
                       issuer->principal_claim);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return gw_fail(err, GW_UNAUTHENTICATED, "the JWT's %s has control characters",
                           issuer->principal_claim);
    (void)snprintf(principal->name, sizeof(principal->name), "%.127s#%.127s", issuer->issuer, name);
    return 0;
}

static void take_claims(const struct cp_issuer *issuer, const json_t *claims,
                        struct gw_arena *arena, struct token *ret)
{
    const struct cp_texts *names = &issuer->user_claims, *accounts = &issuer->users_of;
    const char **ids = GW_ARENA_ARRAY(arena, const char *, accounts->count);
    for (size_t i = 0; i < accounts->count; i++)
        ids[i] = gw_arena_strdup(arena, accounts->at[i]);
    ret->accounts = (struct cp_texts){ids, accounts->count};
    ret->claims = GW_ARENA_ARRAY(arena, const char *, names->count);
    for (size_t i = 0; i < names->count; i++) {
        const char *value = cp_claim_text(claims, names->at[i]);
        if (value)
            ret->claims[ret->claim_count++] =
                gw_arena_printf(arena, "%s=%s", names->at[i], value).ptr;
    }
}

/* With the lock held: the keys are the credentials'. */
static int read_token(struct cp_auth *auth, const char *bearer, struct gw_arena *arena,
                      struct token *ret, struct gw_error *err)
{
    const struct cp_issuer *issuer;
    const struct cp_credentials *credentials = auth->credentials;
    json_t *claims;
    *ret = (struct token){.principal = {.proof = "JWT"}};
    if (cp_jwt_verify(credentials->issuers, credentials->issuer_count, bearer,
                      gw_clock_wall_ms() / 1000, &issuer, &claims, err)) {
        if (auth->keys && issuer && strcmp(err->reason, CP_JWT_UNKNOWN_KEY) == 0)
            cp_issuer_keys_miss(auth->keys, issuer);
        return -1;
    }
    struct cp_grant *grants = GW_ARENA_ARRAY(arena, struct cp_grant, issuer->grant_count);
    for (size_t i = 0; i < issuer->grant_count; i++) {
        const struct cp_claim_grant *grant = &issuer->grants[i];
        if (!grant->name || cp_claim_has(claims, grant->name, grant->value))
            cp_principal_add(&ret->principal, grants, cp_grants_copy(arena, &grant->grant, 1));
    }
    ret->principal.expires_s = cp_jwt_expiry(claims);
    take_claims(issuer, claims, arena, ret);
    int failed = name_principal(issuer, claims, &ret->principal, err);
    json_decref(claims);
    return failed;
}

/* *ret_user: the first one, by account and then by claim. */
static int find_user(struct cp_auth *auth, const struct token *token, struct gw_arena *arena,
                     struct cp_known_user *ret_user, struct gw_error *err)
{
    const struct cp_directory *directory = &auth->directory;
    *ret_user = (struct cp_known_user){.name = NULL};
    for (size_t i = 0; directory->by_claim && i < token->accounts.count; i++)
        for (size_t j = 0; j < token->claim_count; j++) {
            if (directory->by_claim(directory->arg, gw_str_from(token->accounts.at[i]),
                                    gw_str_from(token->claims[j]), arena, ret_user, err) < 0)
                return -1;
            if (ret_user->name)
                return 0;
        }
    return 0;
}

static int identify_jwt(struct cp_auth *auth, const char *bearer, struct gw_arena *arena,
                        struct cp_principal *ret, struct gw_error *err)
{
    struct token token;
    struct cp_known_user user;
    pthread_mutex_lock(&auth->lock);
    int failed = read_token(auth, bearer, arena, &token, err);
    pthread_mutex_unlock(&auth->lock);
    if (failed || find_user(auth, &token, arena, &user, err) < 0)
        return -1;
    *ret = token.principal;
    return user.name ? be_user(auth, &user, &token.principal, arena, ret, err) : 0;
}

/* ---- everybody */

static int refuse(const struct gw_rpc_caller *caller, struct gw_error *err)
{
    if (caller->bearer)
        return gw_fail(err, GW_UNAUTHENTICATED, "the bearer token is not known");
    if (caller->cert_name)
        return gw_fail(err, GW_UNAUTHENTICATED, "no principal for the client certificate of \"%s\"",
                       caller->cert_name);
    return gw_fail(err, GW_UNAUTHENTICATED, "a bearer token or a client certificate is needed");
}

int cp_auth_identify(struct cp_auth *auth, const struct gw_rpc_caller *caller,
                     struct gw_arena *arena, struct cp_principal *ret_principal,
                     struct gw_error *err)
{
    if (!auth->file)
        return identify_local(caller, ret_principal, err);
    pthread_mutex_lock(&auth->lock);
    reload_when_changed(auth);
    bool is_listed = find_listed(auth->credentials, caller, arena, ret_principal);
    bool has_issuers = auth->credentials->issuer_count > 0;
    pthread_mutex_unlock(&auth->lock);
    if (is_listed)
        return 0;
    if (caller->bearer && strchr(caller->bearer, ':'))
        return identify_key(auth, caller->bearer, arena, ret_principal, err);
    if (caller->bearer && has_issuers && cp_jwt_is(caller->bearer))
        return identify_jwt(auth, caller->bearer, arena, ret_principal, err);
    return refuse(caller, err);
}

void cp_auth_set_directory(struct cp_auth *auth, const struct cp_directory *directory)
{
    auth->directory = *directory;
}

bool cp_auth_has_role(struct cp_auth *auth, const char *name)
{
    struct cp_grant ignored;
    if (!auth || !auth->file)
        return cp_role_from(name) != CP_ROLE_NONE;
    pthread_mutex_lock(&auth->lock);
    reload_when_changed(auth);
    bool found = cp_credentials_role(auth->credentials, name, &ignored);
    pthread_mutex_unlock(&auth->lock);
    return found;
}

/* ---- agents */

static bool may_say(const struct cp_agent_entry *entry, const char *name, const char *agent_id)
{
    if (!agent_id || (entry->ids.count == 0 && strcmp(name, agent_id) == 0))
        return true;
    for (size_t i = 0; i < entry->ids.count; i++)
        if (cp_agent_pattern_fits(gw_str_from(entry->ids.at[i]), gw_str_from(agent_id)))
            return true;
    return false;
}

static void copy_texts(struct gw_arena *arena, const struct cp_texts *from, struct cp_texts *ret)
{
    const char **at = GW_ARENA_ARRAY(arena, const char *, from->count + 1);
    for (size_t i = 0; i < from->count; i++)
        at[i] = gw_arena_strdup(arena, from->at[i]);
    *ret = (struct cp_texts){at, from->count};
}

/* With the lock held. */
static int find_agent(const struct cp_credentials *credentials, const char *name,
                      const char *agent_id, struct gw_arena *arena, struct cp_texts *ret,
                      struct gw_error *err)
{
    const struct cp_agent_entry *entry = gw_map_get(&credentials->agents, gw_str_from(name));
    if (!entry)
        return gw_fail(err, GW_PERMISSION_DENIED, "\"%s\" is not named as an agent", name);
    if (!may_say(entry, name, agent_id))
        return gw_fail(err, GW_PERMISSION_DENIED,
                       "the certificate of \"%s\" is not for an agent of the id %s: that has to be "
                       "the certificate's name, or one of \"ids\" of its entry in the credentials "
                       "file",
                       name, agent_id);
    copy_texts(arena, &entry->environments, ret);
    return 0;
}

int cp_auth_identify_agent(struct cp_auth *auth, const struct gw_rpc_caller *caller,
                           const char *agent_id, struct gw_arena *arena,
                           struct cp_texts *ret_environments, struct gw_error *err)
{
    *ret_environments = (struct cp_texts){NULL, 0};
    if (!auth->file) {
        if (caller->is_loopback)
            return 0;
        return gw_fail(err, GW_PERMISSION_DENIED,
                       "no credentials are configured: only agents on loopback are served");
    }
    if (!caller->cert_name)
        return gw_fail(err, GW_PERMISSION_DENIED, "agents need a client certificate");
    pthread_mutex_lock(&auth->lock);
    reload_when_changed(auth);
    int failed =
        find_agent(auth->credentials, caller->cert_name, agent_id, arena, ret_environments, err);
    pthread_mutex_unlock(&auth->lock);
    return failed;
}

bool cp_auth_refresh(struct cp_auth *auth)
{
    if (!auth->file)
        return false;
    pthread_mutex_lock(&auth->lock);
    reload_when_changed(auth);
    bool changed = auth->readings != auth->readings_told;
    auth->readings_told = auth->readings;
    pthread_mutex_unlock(&auth->lock);
    return changed;
}
