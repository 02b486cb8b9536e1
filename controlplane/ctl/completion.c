/* SPDX-License-Identifier: Apache-2.0 */
/* Completion scripts, made from the tables of commands, kinds and flags. */
#include "controlplane/ctl/command.h"

#include <stdio.h>

static void print_words(const char *separator, bool commands, bool kinds, bool with_flags)
{
    for (unsigned i = 0; commands && i < cp_command_count; i++)
        printf("%s%s", cp_commands[i].name, separator);
    for (unsigned i = 0; kinds && i < cp_ctl_kind_count; i++)
        printf("%s%s", cp_ctl_kinds[i].command, separator);
    const char *flag;
    for (unsigned i = 0; with_flags && (flag = cp_options_flag(i)); i++)
        printf("--%s%s", flag, separator);
}

static void print_bash(void)
{
    fputs("_penstockctl() {\n"
          "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
          "  case $before in\n"
          "  -f|--file|--ca|--cert|--key|--token-file) COMPREPLY=($(compgen -f -- \"$word\")); "
          "return;;\n"
          "  -o|--output) COMPREPLY=($(compgen -W 'table json yaml name' -- \"$word\")); return;;\n"
          "  get|list|delete) COMPREPLY=($(compgen -W '",
          stdout);
    print_words(" ", false, true, false);
    fputs("' -- \"$word\")); return;;\n"
          "  completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$word\")); return;;\n"
          "  esac\n"
          "  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '",
          stdout);
    print_words(" ", false, false, true);
    fputs("' -- \"$word\"))\n  elif ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W '", stdout);
    print_words(" ", true, false, false);
    fputs("' -- \"$word\"))\n  fi\n}\ncomplete -o default -F _penstockctl penstockctl\n", stdout);
}

static void print_zsh(void)
{
    fputs("#compdef penstockctl\n_penstockctl() {\n  if ((CURRENT == 2)); then compadd ", stdout);
    print_words(" ", true, false, false);
    fputs("\n  elif [[ $words[CURRENT] == -* ]]; then compadd -- ", stdout);
    print_words(" ", false, false, true);
    fputs("\n  elif [[ $words[CURRENT-1] == (get|list|delete) ]]; then compadd ", stdout);
    print_words(" ", false, true, false);
    fputs("\n  else _files\n  fi\n}\ncompdef _penstockctl penstockctl\n", stdout);
}

static void print_fish(void)
{
    for (unsigned i = 0; i < cp_command_count; i++)
        printf("complete -c penstockctl -n __fish_use_subcommand -f -a %s -d '%s'\n",
               cp_commands[i].name, cp_commands[i].doc);
    const char *flag;
    for (unsigned i = 0; (flag = cp_options_flag(i)); i++)
        printf("complete -c penstockctl -l %s\n", flag);
    for (unsigned i = 0; i < cp_ctl_kind_count; i++)
        printf(
            "complete -c penstockctl -n '__fish_seen_subcommand_from get list delete' -f -a %s\n",
            cp_ctl_kinds[i].command);
}

int cp_command_completion(struct cp_session *session, struct gw_error *err)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    const char *wanted = session->options->args[0];
    for (size_t i = 0; i < GW_ARRAY_LEN(shells); i++) {
        if (strcmp(wanted, shells[i].shell) == 0) {
            shells[i].print();
            return 0;
        }
    }
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" is not bash, zsh or fish", wanted);
    return cp_usage(err);
}
