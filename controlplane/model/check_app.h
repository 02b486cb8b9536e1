/* SPDX-License-Identifier: Apache-2.0 */
/* What apps, their AppCodes and their authorizations may say. Pure. Messages never hold a code. */
#ifndef CP_MODEL_CHECK_APP_H
#define CP_MODEL_CHECK_APP_H

#include "controlplane/model/types.h"

#include "common/error.h"

#define CP_APP_KEY_MIN 8
#define CP_APP_KEY_MAX 200
#define CP_APP_KEY_RANDOM_BYTES 16 /* as hex when nobody says one */
#define CP_APP_SECRET_MIN 8
#define CP_APP_SECRET_MAX 128
#define CP_APP_SECRET_LEN 40 /* of a generated one */
#define CP_APP_CODE_MIN 64
#define CP_APP_CODE_MAX 180
#define CP_APP_CODES_MAX 5 /* of one app */
#define CP_APP_CODE_HINT_LEN 4
#define CP_APP_CODE_RANDOM_BYTES 48
#define CP_APP_CODE_GENERATED_LEN 64
#define CP_APP_CODE_DIGEST_LEN 64 /* SHA-256 in hex */

/* Name, labels and what the server sets are not looked at; `before` is what is there, or NULL.
 * INVALID_ARGUMENT, or UNIMPLEMENTED when nothing else is wrong. */
GW_MUST_CHECK int cp_check_app(const cp_app *app, const cp_app *before, struct gw_error *err);
/* The secret that a person chose; says it in err, besides what is there. */
void cp_check_app_secret(const char *secret, struct gw_error *err);
/* Which API and environment it names; an empty environment is "environments/RELEASE". */
GW_MUST_CHECK int cp_check_authorization(const cp_authorization *authorization,
                                         struct gw_error *err);

/* The code that a person chose. */
GW_MUST_CHECK int cp_check_app_code(const cp_app_code *code, struct gw_error *err);
/* A code of random bytes: base64, which is within the form of chosen ones. */
void cp_app_code_from_random(const unsigned char bytes[CP_APP_CODE_RANDOM_BYTES],
                             char ret_code[CP_APP_CODE_GENERATED_LEN + 1]);
/* What is stored instead of the code, in lower case hex. */
void cp_app_code_digest(gw_str code, char ret_digest[CP_APP_CODE_DIGEST_LEN + 1]);

#endif
