/* SPDX-License-Identifier: Apache-2.0 */
/* penstockctl: the command line of the management API. */
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/print.h"

#include <stdio.h>

static void print_help(void)
{
    puts("penstockctl manages a Penstock control plane.\n\n"
         "usage: penstockctl COMMAND [ARGUMENTS] [FLAGS]\n\nCommands:");
    for (unsigned i = 0; i < cp_command_count; i++) {
        char left[80];
        snprintf(left, sizeof(left), "%s %s", cp_commands[i].name, cp_commands[i].arguments);
        printf("  %-36s %s\n", left, cp_commands[i].doc);
    }
    puts("\nKinds (plural or singular; names whole or only their ids, groups/orders/apis/list or "
         "orders/list):");
    for (unsigned i = 0; i < cp_ctl_kind_count; i++)
        printf("  %-14s %s\n", cp_ctl_kinds[i].command, cp_ctl_kinds[i].pattern);
    cp_options_print();
    puts("\nA flag comes before its variable, and that before the context (penstockctl config).\n"
         "Without --context the current one counts, unless --server or PENSTOCK_SERVER names "
         "another server.");
    puts("\nExit status: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unavailable, "
         "6 not allowed; of diff: 0 the same,\n1 different, more: failed.\n\n"
         "In files a text may lie in a file of its own, found from the document's place:\n"
         "  certificatePem: {file: shop.crt}\n\n"
         "Examples:\n"
         "  penstockctl apply -f orders.yaml\n"
         "  penstockctl publish orders/list --wait\n"
         "  penstockctl get apis orders -o yaml");
}

static int fail(const struct gw_error *err)
{
    cp_print_error(err);
    return cp_exit_status(err);
}

static bool reads_files(const struct cp_options *options)
{
    static const char *const commands[] = {"apply", "create", "delete"};
    for (size_t i = 0; i < GW_ARRAY_LEN(commands) && options->file_count > 0; i++)
        if (strcmp(options->command, commands[i]) == 0)
            return options->arg_count == 0;
    return false;
}

static int check_arguments(const struct cp_options *options, const struct cp_command *command,
                           struct gw_error *err)
{
    if (!command)
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" is no command", options->command);
    else if (options->arg_count < command->min_args || options->arg_count > command->max_args)
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "usage: penstockctl %s %s", command->name,
                      command->arguments);
    else if (options->is_offline && !reads_files(options))
        (void)gw_fail(err, GW_INVALID_ARGUMENT,
                      "--dry-run=client only reads files: it is for apply, create and delete -f");
    return err->code == GW_OK ? 0 : cp_usage(err);
}

static int run(const struct cp_options *options, const struct cp_command *command)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_session session = {.options = options};
    int status = -1;
    if (command->is_offline || cp_session_open(&session, options, &err) == 0)
        status = command->run(&session, &err);
    if (status < 0)
        status = fail(&err);
    if (err.code == GW_UNAVAILABLE)
        fprintf(stderr, "Is the control plane at %s? --server or PENSTOCK_SERVER says where.\n",
                options->connection.server);
    cp_session_close(&session);
    return status;
}

static int help_of(const char *word)
{
    const struct cp_command *command = word ? cp_command_find(word) : NULL;
    if (!command) {
        print_help();
        return 0;
    }
    printf("usage: penstockctl %s %s\n\n%s.\n", command->name, command->arguments, command->doc);
    cp_options_print();
    return 0;
}

static int run_line(const struct cp_options *options)
{
    struct gw_error err = GW_ERROR_NONE;
    const char *word = options->command;
    if (options->version)
        return cp_command_version(NULL, &err);
    if (options->help)
        return help_of(word);
    if (!word) {
        print_help();
        return 2;
    }
    if (strcmp(word, "help") == 0)
        return help_of(options->arg_count > 0 ? options->args[0] : NULL);
    const struct cp_command *command = cp_command_find(word);
    return check_arguments(options, command, &err) < 0 ? fail(&err) : run(options, command);
}

int main(int argc, char **argv)
{
    struct cp_options options;
    struct gw_error err = GW_ERROR_NONE;
    if (argc > 1 && strcmp(argv[1], "__complete") == 0) /* what completion scripts ask */
        return cp_complete(argc - 2, argv + 2);
    int status = cp_options_parse(&options, argc, argv, &err) < 0 ? fail(&err) : run_line(&options);
    cp_options_done(&options);
    return status;
}
