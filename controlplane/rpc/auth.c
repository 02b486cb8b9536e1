/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/auth.h"

#include "common/log.h"
#include "controlplane/rpc/credentials.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct stamp {
    struct timespec time;
    ino_t inode;
    off_t size;
};

struct cp_auth {
    char *file; /* owned; NULL: nothing is configured */
    pthread_mutex_t lock;
    struct stamp stamp;                 /* of the file as last read, good or bad */
    struct cp_credentials *credentials; /* owned, the last good form; under lock */
    struct cp_directory directory;      /* set before the first call */
};

static struct stamp stamp_of(const char *file)
{
    struct stat st;
    if (stat(file, &st))
        return (struct stamp){0};
    return (struct stamp){.time = st.st_mtim, .inode = st.st_ino, .size = st.st_size};
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec &&
           a->inode == b->inode && a->size == b->size;
}

/* With the lock held. The stamp is taken before the reading, so a change meanwhile is seen. */
static void reload_when_changed(struct cp_auth *auth)
{
    struct stamp now = stamp_of(auth->file);
    if (is_same(&now, &auth->stamp))
        return;
    auth->stamp = now;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_credentials *fresh;
    if (cp_credentials_load(auth->file, &fresh, &err)) {
        gw_log(GW_LOG_ERROR, "auth", "credentials file not read, keeping the former",
               gw_kv_error(&err));
        return;
    }
    cp_credentials_free(auth->credentials);
    auth->credentials = fresh;
    gw_log(GW_LOG_INFO, "auth", "credentials file read again", gw_kv_text("file", auth->file));
}

int cp_auth_new(const char *credentials_file, struct cp_auth **ret_auth, struct gw_error *err)
{
    struct stamp stamp = {0};
    struct cp_credentials *credentials = NULL;
    if (credentials_file) {
        stamp = stamp_of(credentials_file);
        if (cp_credentials_load(credentials_file, &credentials, err))
            return -1;
    }
    struct cp_auth *auth = gw_calloc(1, sizeof(*auth));
    pthread_mutex_init(&auth->lock, NULL);
    auth->file = credentials_file ? gw_strdup(credentials_file) : NULL;
    auth->stamp = stamp;
    auth->credentials = credentials;
    *ret_auth = auth;
    return 0;
}

void cp_auth_free(struct cp_auth *auth)
{
    if (!auth)
        return;
    cp_credentials_free(auth->credentials);
    pthread_mutex_destroy(&auth->lock);
    free(auth->file);
    free(auth);
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

static void give_grants(struct cp_auth *auth, const struct cp_known_user *user,
                        struct gw_arena *arena, struct cp_principal *principal)
{
    struct cp_grant *grants = GW_ARENA_ARRAY(arena, struct cp_grant, user->grant_count);
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

static int be_user(struct cp_auth *auth, const struct cp_known_user *user, const char *proof,
                   struct gw_arena *arena, struct cp_principal *ret, struct gw_error *err)
{
    if (user->is_disabled)
        return gw_fail(err, GW_UNAUTHENTICATED, "%s is disabled, or its account or access key is",
                       user->name);
    *ret = (struct cp_principal){.proof = proof};
    (void)snprintf(ret->name, sizeof(ret->name), "%s", user->name);
    give_grants(auth, user, arena, ret);
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
    return be_user(auth, &user, "access key", arena, ret, err);
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
    pthread_mutex_unlock(&auth->lock);
    if (is_listed)
        return 0;
    if (caller->bearer && strchr(caller->bearer, ':'))
        return identify_key(auth, caller->bearer, arena, ret_principal, err);
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

static bool is_agent(struct cp_auth *auth, const char *cert_name)
{
    pthread_mutex_lock(&auth->lock);
    reload_when_changed(auth);
    bool found = gw_map_get(&auth->credentials->agents, gw_str_from(cert_name)) != NULL;
    pthread_mutex_unlock(&auth->lock);
    return found;
}

int cp_auth_identify_agent(struct cp_auth *auth, const struct gw_rpc_caller *caller,
                           struct gw_error *err)
{
    if (!auth->file) {
        if (caller->is_loopback)
            return 0;
        return gw_fail(err, GW_PERMISSION_DENIED,
                       "no credentials are configured: only agents on loopback are served");
    }
    if (!caller->cert_name)
        return gw_fail(err, GW_PERMISSION_DENIED, "agents need a client certificate");
    if (!is_agent(auth, caller->cert_name))
        return gw_fail(err, GW_PERMISSION_DENIED, "\"%s\" is not named as an agent",
                       caller->cert_name);
    return 0;
}
