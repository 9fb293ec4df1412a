"""The command line: `glide-eval COMMAND`, one module per command, loaded when called."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from typing import TextIO

import click

from .failures import stopping_on_signals, told

# command -> one-line help; modules load only when their command runs, so `glide-eval study serve`
# never imports torch.
COMMANDS: dict[str, str] = {
    "demo": "The whole experiment on the bundled miniature, in minutes.",
    "sweep": "Make images for every arm of a sweep file; resumes where it stopped.",
    "runs": "Fork runs: begin a new one with what is the same.",
    "metrics": "Measure runs or folders: FID, IS, precision/recall, CLIP score and more.",
    "reference": "Build the real images' features that metrics compare with.",
    "sample": "Draw pictures of prompts.",
    "inpaint": "Repaint a part of a picture by a prompt, once or step by step.",
    "edit": "Draw a picture from a sketch and a prompt.",
    "study": "Collect votes on pairs of a run's images.",
    "plan": "Say how many votes, raters and prompts a study needs.",
    "report": "Write the comparison report of a run.",
    "push": "Publish a run at a URL; resumes where it stopped.",
    "pull": "Fetch a published run, each file checked by its SHA-256.",
    "models": "List, fetch and check models and their weights.",
}
# commands of packages that this one must not import: they are found by name alone
MOUNTED = {"study": "study_app.commands.study"}


class _LazyGroup(click.Group):
    """Loads a command's module when it is asked for, and takes its `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = MOUNTED.get(cmd_name, f"{__name__}.{cmd_name}")
        return importlib.import_module(module).command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="glide-eval")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Compare text-to-image guidance by metrics and by people."""
    if debug and ctx.invoked_subcommand is not None:
        ctx.call_on_close(_print_traceback)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit status 0, 1 (failed) or 2 (wrong usage), never a traceback.

    A signal that ends the process gives 128 and its number. `--debug` before the command shows the
    traceback of an error, then the same message and status.
    """
    warnings.showwarning = _show_warning
    try:
        with stopping_on_signals():
            status = cli.main(args=arguments, prog_name="glide-eval", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(128 + 13)
    except (Exception, KeyboardInterrupt) as error:
        message, status = told(error)
        click.echo(message, err=True)
        sys.exit(status)


def _print_traceback() -> None:
    """Print the traceback of the error that ends the command, if one does."""
    error = sys.exc_info()[1]
    if error is not None and not isinstance(error, click.exceptions.Exit | click.ClickException):
        traceback.print_exc()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our packages' warnings as one paragraph, like errors; others as Python shows them."""
    if category.__name__ in ("GeneratorWarning", "AnalysisWarning"):
        click.echo(f"glide-eval: {message}", err=True)
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        click.echo(text, file=file or sys.stderr, nl=False)
