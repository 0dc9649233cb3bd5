"""The command line: ``monai-levelset COMMAND …``, one line per command in `COMMANDS`.

A command is an ordinary typed function in its own module, imported only when it is asked for. Python Fire
turns its signature into options; around that, this module makes four promises:

* parameters typed as text or paths stay text: ``--out 007`` is a folder called ``007``, not the number 7;
* a misspelt option is refused before the command starts, not after it has run;
* a user's mistake ends with ``error: …`` on standard error and exit code 1, a wrong command line with 2, work
  of which only a part failed with 3, and only ``MONAI_LEVELSET_DEBUG=1`` shows the traceback;
* what a command returns to Python is not printed.
"""

from __future__ import annotations

import functools
import os
import sys
import typing
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from types import NoneType
from typing import Any

PROGRAM = "monai-levelset"

#: Name -> (module and function, what it does).
COMMANDS: dict[str, tuple[str, str]] = {
    "phantom": ("monai_levelset.data.phantoms:phantom", "draw sample data for a task"),
    "prepare": ("monai_levelset.data.prepare:prepare", "turn a public data set into images with a data list"),
    "split": (
        "monai_levelset.data.split:split",
        "change the labelled fraction or the sections of a data list",
    ),
    "predict": ("monai_levelset.prediction:predict", "segment images with a bundle"),
    "evaluate": ("monai_levelset.evaluation:evaluate", "score predictions or a bundle, and write the report"),
    "reproduce": ("monai_levelset.reproduce:reproduce", "train and evaluate a paper's table"),
    "export-bundle": (
        "monai_levelset.export:export_bundle",
        "write a bundle as a zip that runs with MONAI alone",
    ),
    "doctor": ("monai_levelset.doctor:doctor", "check installation, bundles and data, and say what to fix"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the words after the program's name; default: those of this process.

    Returns:
        Exit code: 0 done, 1 a mistake in the data or the request, 2 a wrong command line, 3 some of the cases
        failed, 130 interrupted.

    Example:
        >>> main(["--version"])  # doctest: +ELLIPSIS
        monai-levelset ...
        0
    """
    warnings.filterwarnings("ignore", message="builtin type swigvarlink")  # of ITK, when Python ends
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(_version())
        return 0
    if words[0] not in COMMANDS:
        print(f"error: unknown command '{words[0]}'; choose from {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return _guarded(words[0], words[1:])


def _guarded(name: str, words: Sequence[str]) -> int:
    try:
        _run(name, _load(COMMANDS[name][0]), words)
    except SystemExit as exit_:  # raised by Fire for --help and for a wrong command line
        return exit_.code if isinstance(exit_.code, int) else 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if os.environ.get("MONAI_LEVELSET_DEBUG", "0") not in ("", "0"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", 1))
    return 0


def _load(target: str) -> Callable[..., object]:
    module, function = target.split(":")
    command: Callable[..., object] = getattr(import_module(module), function)
    return command


def _run(name: str, command: Callable[..., object], words: Sequence[str]) -> None:
    """Let Fire read all of `words` first, and call the command only if every word was understood."""
    import fire

    calls: list[functools.partial[object]] = []

    @functools.wraps(command)
    def remember(*args: Any, **kwargs: Any) -> None:
        calls.append(functools.partial(command, *args, **kwargs))

    fire.decorators.FIRE_METADATA = "_fire"  # under its public name, help would list it as a subcommand
    parsers = {parameter: functools.partial(_text, parameter) for parameter in _text_parameters(command)}
    fire.decorators.SetParseFns(**parsers)(remember)
    fire.Fire({name: remember}, command=[name, *words], name=PROGRAM)
    for call in calls:
        call()


def _text_parameters(command: Callable[..., object]) -> list[str]:
    hints = typing.get_type_hints(command)
    return [name for name, hint in hints.items() if name != "return" and _is_text(hint)]


def _is_text(hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return all(isinstance(value, str) for value in typing.get_args(hint))
    members = typing.get_args(hint) or (hint,)
    return set(members) <= {str, Path, NoneType} and set(members) != {NoneType}


def _text(parameter: str, value: str) -> str:
    if value in ("True", "False"):  # what Fire passes for an option without a value
        raise ValueError(f"--{parameter} needs a value")
    return value


def _overview() -> str:
    lines = [f"  {name:<15}{summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [ARGUMENTS]",
            "",
            "commands:",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help explains a command; {PROGRAM} --version shows the versions.",
            "MONAI_LEVELSET_DEBUG=1 shows the traceback of an error.",
        ]
    )


def _version() -> str:
    from monai_levelset import __version__

    others = ", ".join(f"{name} {metadata.version(name)}" for name in ("monai", "torch"))
    return f"{PROGRAM} {__version__} ({others}, Python {sys.version.split()[0]})"


if __name__ == "__main__":
    sys.exit(main())
