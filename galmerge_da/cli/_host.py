"""What all commands share: how errors and warnings look, and a few checks."""

import sys
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path

import click

__all__ = [
    "Command",
    "Group",
    "check_output",
    "count_flags",
    "one_line",
    "print_version",
    "show_table",
    "split_bands",
    "verbose_option",
]

_VERBOSE = "galmerge_da.cli.verbose"


class Command(click.Command):
    """A command that ends in one line, not in a traceback; see `one_line`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params.append(verbose_option())

    def invoke(self, ctx):
        """Run the command."""
        with one_line(ctx):
            return super().invoke(ctx)


class Group(click.Group):
    """A command that has commands of its own."""

    command_class = Command

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params.append(verbose_option())


@contextmanager
def one_line(ctx):
    """End in one line, not in a traceback.

    An error raised on purpose, or by the file system, is printed as
    ``Error: ...`` with exit status 1; ``--verbose`` prints the traceback
    before it. Warnings are printed as one line each. Anything else is a bug
    and is left to Python.

    Parameters
    ----------
    ctx : `click.Context`
    """
    # Imported first: astropy, once loaded, would take the warnings over.
    from galmerge_da.exceptions import GalmergeError

    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except BrokenPipeError:  # nobody reads on, as in `galmerge plugins | head`
            raise
        except (GalmergeError, OSError) as error:
            if ctx.find_root().meta.get(_VERBOSE):
                click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
            raise click.ClickException(_flatten(_describe(error))) from error


def verbose_option():
    """Make ``--verbose``, which may stand before or after a command's name."""

    def remember(ctx, param, value):
        if value:
            ctx.find_root().meta[_VERBOSE] = True

    return click.Option(
        ["--verbose"], is_flag=True, expose_value=False, callback=remember, help="Show the traceback of an error."
    )


def print_version(ctx, param, value):
    """Print the version of the package and end; a callback of ``--version``."""
    if value and not ctx.resilient_parsing:
        import galmerge_da

        click.echo(f"galmerge, version {galmerge_da.__version__}")
        ctx.exit()


def show_table(table):
    """Print a copy of a table, its numbers to three decimals."""
    shown = table.copy()
    shown.round(3)
    click.echo("\n".join(shown.pformat(max_lines=-1, max_width=-1)))


def split_bands(ctx, param, value):
    """``"g,r,i"`` as a tuple; a callback of ``--bands``."""
    return None if value is None else tuple(name.strip() for name in value.split(","))


def count_flags(flags):
    """How many rows have each flag but ``NOT_CLASSIFIED``, in words after a semicolon; empty where none has any."""
    import numpy as np

    from galmerge_da.flags import Flag

    counts = {flag.name: int(np.sum((flags & flag) != 0)) for flag in Flag if flag is not Flag.NOT_CLASSIFIED}
    reasons = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return f"; flags: {reasons}" if reasons else ""


def check_output(path, overwrite, suffixes):
    """Refuse an output file before any work is done for it.

    Parameters
    ----------
    path : path-like
        Where the command will write.
    overwrite : bool
        Whether a file that exists may be replaced.
    suffixes : tuple of str
        Endings that say what the file will be.

    Raises
    ------
    InputError
        If the file exists and may not be replaced, its folder does not exist,
        or its name ends otherwise.
    """
    from galmerge_da.exceptions import InputError

    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; the output must be a file")
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: the output must end in {', '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; give --overwrite to replace it")
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist")


def _describe(error):
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"no such file: {error.filename}"
    return str(error) or type(error).__name__


def _flatten(text):
    return " ".join(str(text).split())


def _show_warning(message, category, filename, lineno, file=None, line=None):
    from tqdm import tqdm

    tqdm.write(f"Warning: {_flatten(message)}", file=sys.stderr)  # above a progress bar, not into it
