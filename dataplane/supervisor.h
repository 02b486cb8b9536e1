/* SPDX-License-Identifier: Apache-2.0 */
/* What is told to whoever looks after the process: its pid in a file, its state to systemd. */
#ifndef DP_SUPERVISOR_H
#define DP_SUPERVISOR_H

#include "common/error.h"

#include <sys/types.h>

/* Whole or not at all, by another name first: 0 or a negative errno. */
GW_MUST_CHECK int dp_file_replace(const char *path, gw_str text, mode_t mode);

/* The pid of this process; path "": nothing to do. */
GW_MUST_CHECK int dp_pid_file_write(const char *path, struct gw_error *err);
/* Unless another process has written it since. */
void dp_pid_file_remove(const char *path);

/* Lines as of sd_notify(3), "READY=1", where $NOTIFY_SOCKET says to. Whoever does not listen misses
 * it. */
void dp_notify(const char *lines);

#endif
