/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int dp_file_replace(const char *path, gw_str text, mode_t mode)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp", path) >= sizeof(temporary))
        return -ENAMETOOLONG;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    errno = EIO; /* what a short write means */
    bool is_whole = write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    int error = errno;
    close(fd);
    if (!is_whole)
        return -error;
    return rename(temporary, path) == 0 ? 0 : -errno;
}

static gw_str print_pid(char text[32])
{
    return gw_str_n(text, (size_t)snprintf(text, 32, "%ld\n", (long)getpid()));
}

int dp_pid_file_write(const char *path, struct gw_error *err)
{
    char text[32];
    int result = *path ? dp_file_replace(path, print_pid(text), 0644) : 0;
    if (result < 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "pid file %s: %s", path, strerror(-result));
    return 0;
}

void dp_pid_file_remove(const char *path)
{
    char own[32], found[32];
    int fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    ssize_t n = read(fd, found, sizeof(found));
    close(fd);
    if (n > 0 && gw_str_eq(gw_str_n(found, (size_t)n), print_pid(own)))
        (void)unlink(path); /* one that stays tells a pid that is no more */
}

void dp_notify(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = 0; /* a name that is in no file system */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}
