"""``headcast completion``: a script that completes commands, options and choices in bash, zsh or fish."""

from __future__ import annotations

from headcast.cli.commands import COMMANDS, Completion
from headcast.cli.output import print_result
from headcast.cli.reference import Flag, flags_of
from headcast.cli.style import EVERYWHERE

__all__ = ["completion_script", "run_completion"]

BASH = """_headcast() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "%COMMANDS%" -- "$word")); return
  fi
  case "$command $before" in
%CHOICES%  esac
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word")); return; fi
  case "$word" in -*)
    case "$command" in
%FLAGS%    esac
    COMPREPLY=($(compgen -W "$words" -- "$word")); return;;
  esac
  COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _headcast headcast
"""


def run_completion(command: Completion) -> None:
    """Run ``headcast completion``: print the script."""
    print_result(completion_script(command.shell).rstrip("\n"))


def completion_script(shell: str) -> str:
    """Return the script for a shell: bash, zsh (which runs bash's) or fish."""
    flags = {name: flags_of(name) for name in COMMANDS}
    if shell == "fish":
        return fish(flags)
    choices = "".join(
        f'    "{name} {option}") words="{" ".join(flag.choices)}";;\n'
        for name, found in flags.items()
        for flag in found
        for option in flag.names
        if flag.choices
    )
    options = "".join(
        f'      {name}) words="{" ".join([*(n for f in found for n in f.names), *EVERYWHERE, "--help"])}";;\n'
        for name, found in flags.items()
    )
    script = BASH.replace("%COMMANDS%", " ".join([*COMMANDS, "--version"]))
    script = script.replace("%CHOICES%", choices).replace("%FLAGS%", options)
    return f"autoload -U +X bashcompinit && bashcompinit\n{script}" if shell == "zsh" else script


def fish(flags: dict[str, list[Flag]]) -> str:
    """Return the script for fish."""
    lines = ["complete -c headcast -e"]
    for name, entry in COMMANDS.items():
        text = " ".join((entry.flags.__doc__ or "").split()).partition(":")[0].replace("'", "")
        lines.append(f"complete -c headcast -n __fish_use_subcommand -f -a {name} -d '{text}'")
        for flag in flags[name]:
            for option in flag.names:
                switch = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                words = f" -x -a '{' '.join(flag.choices)}'" if flag.choices else " -r" if flag.value else ""
                lines.append(f"complete -c headcast -n '__fish_seen_subcommand_from {name}' {switch}{words}")
    lines += [f"complete -c headcast -l {name[2:]}" for name in EVERYWHERE]
    return "\n".join(lines) + "\n"
