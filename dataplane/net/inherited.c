/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

static int get_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static int examine(struct dp_inherited_socket *inherited, int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    if (get_option(fd, SO_ACCEPTCONN) != 1 || get_option(fd, SO_PROTOCOL) != IPPROTO_TCP ||
        getsockname(fd, (struct sockaddr *)&storage, &len) != 0)
        return -1;
    *inherited = (struct dp_inherited_socket){
        .fd = fd,
        .address = dp_address_from((struct sockaddr *)&storage),
        .port = ntohs(storage.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&storage)->sin6_port
                                                    : ((struct sockaddr_in *)&storage)->sin_port),
    };
    return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int dp_inherited_parse(struct dp_inherited *inherited, const char *text, struct gw_error *err)
{
    size_t room = 1;
    for (const char *c = text; *c; c++)
        room += *c == ',';
    *inherited = (struct dp_inherited){.sockets = gw_calloc(room, sizeof(*inherited->sockets))};
    gw_str rest = gw_str_from(text);
    while (rest.ptr) {
        uint64_t fd;
        gw_str word = gw_str_split(&rest, ',');
        if (gw_str_to_u64(word, INT_MAX, &fd) < 0 ||
            examine(&inherited->sockets[inherited->count], (int)fd) < 0) {
            free(inherited->sockets); /* the descriptors may be anybody's: they stay as they are */
            *inherited = (struct dp_inherited){0};
            return gw_fail(err, GW_INVALID_ARGUMENT, "\"%.*s\" is no listening socket",
                           GW_STR_ARG(word));
        }
        inherited->count++;
    }
    return 0;
}

static bool is_at(const struct dp_inherited_socket *inherited, const struct dp_address *address,
                  uint16_t port)
{
    return inherited->port == port && dp_address_cmp(&inherited->address, address) == 0;
}

unsigned dp_inherited_count(const struct dp_inherited *inherited, const struct dp_address *address,
                            uint16_t port)
{
    unsigned count = 0;
    for (unsigned i = 0; inherited && i < inherited->count; i++)
        count += is_at(&inherited->sockets[i], address, port);
    return count;
}

int dp_inherited_take(struct dp_inherited *inherited, const struct dp_address *address,
                      uint16_t port)
{
    for (unsigned i = 0; inherited && i < inherited->count; i++) {
        struct dp_inherited_socket *at = &inherited->sockets[i];
        if (at->fd < 0 || !is_at(at, address, port))
            continue;
        int fd = at->fd;
        at->fd = -1;
        return fd;
    }
    return -1;
}

void dp_inherited_done(struct dp_inherited *inherited)
{
    for (unsigned i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].fd >= 0)
            close(inherited->sockets[i].fd);
    free(inherited->sockets);
    *inherited = (struct dp_inherited){0};
}
