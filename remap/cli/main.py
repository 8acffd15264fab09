"""The ``remap`` command: finds the subcommand, imports only that one, turns errors into exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys

import click

from remap import __version__
from remap.errors import RemapError

COMMANDS = {
    "apply": "Convert a checkpoint by a rule file, and check the result.",
    "check": "Hold a written file against rules, checkpoint and model.",
    "diff": "Hold two weight files of any format against each other.",
    "explain": "Tell how one tensor or one variable is converted, step by step.",
    "inspect": "Show the tensors of a checkpoint or of a Keras file.",
    "lint": "Say what could go wrong with a rule file, without converting.",
    "record": "Run a PyTorch model and keep what it did, for 'verify' where there is no PyTorch.",
    "rules": "List the shipped rule files, or show one.",
    "schema": "Print the JSON Schema of a rule file, for editors.",
    "target": "Save what a Keras model holds, so that no model is needed later.",
    "verify": "Hold the Keras model beside the PyTorch model: weights, outputs, every layer.",
}
"""Name of each command, which is also its module in :mod:`remap.cli`, and its line in ``remap --help``."""

COLLECT_AFTER = 100_000
"""Objects made between two searches for garbage: by default 700, which searches the modules just imported again and
again, a twentieth of a short run."""

EXIT_CODES = """\b
Exit codes:
  0  done, and checked where a model was given
  1  an internal error (please report it), or 'lint' or 'diff' found something
  2  the command itself is off: a wrong argument, an output that exists
  3  the checkpoint cannot be read
  4  the rule file is wrong
  5  the Keras model or its inventory cannot be used
  6  rules, checkpoint and target do not fit together; nothing was written
  7  the output could not be written; nothing is left of it
  8  the written file is not what the plan says, or 'verify' did not find the two models equal
  9  a package is missing; the message has the line that installs it"""


class Commands(click.Group):
    """A group whose commands are imported when they are run, so that each starts in a blink."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"remap.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="remap")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """PyTorch checkpoints into Keras weights, by rule files, proved in your own model."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        argv: Arguments without the program's name; those of the process if None.
    """
    arguments = sys.argv[1:] if argv is None else argv
    gc.set_threshold(COLLECT_AFTER)
    try:
        cli.main(arguments, prog_name="remap", standalone_mode=False)
    except RemapError as error:
        _fail(str(error), error.exit_code, arguments)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; nothing is left of the output", 130, arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        _fail(
            f"internal error: {type(error).__name__}: {error}\n  fix: please report it, with the output of --debug",
            1,
            arguments,
        )


def _fail(text: str, code: int, arguments: list[str]) -> None:
    if "--debug" in arguments and sys.exc_info()[0] is not None:
        raise
    from remap.report.printable import printable, wrapped

    message = printable(f"error: {text}")
    if sys.stderr.isatty():
        message = wrapped(message, shutil.get_terminal_size().columns)
    click.echo(message, err=True)
    sys.exit(code)
