"""The command line: a table of commands, each imported when it is typed, and what happens to their errors."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from mitozoo.cli.interrupts import heard_between_imports
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from typing import NoReturn

#: Command -> where it is written, and its line in `mitozoo --help`.
COMMANDS = {
    "eval": ("mitozoo.cli.evaluate:evaluate", "Measure how well an encoder tells mitotic figures apart."),
    "plan": ("mitozoo.cli.plan:plan", "Run a grid of runs, here or on a Ray cluster."),
    "embed": ("mitozoo.cli.embed:embed", "Write an encoder's embeddings of a dataset to a file."),
    "models": ("mitozoo.cli.lists:models", "List the models that installed plugins offer."),
    "datasets": ("mitozoo.cli.lists:datasets", "List the datasets that installed plugins offer."),
    "protocols": ("mitozoo.cli.lists:protocols", "List the protocols."),
    "plugins": ("mitozoo.cli.lists:plugins", "List the installed plugins, and why any does not work."),
    "runs": ("mitozoo.cli.runs:runs", "List the runs in a folder."),
    "info": ("mitozoo.cli.info:info", "Show everything about a model, dataset or protocol."),
    "fetch": ("mitozoo.cli.fetch:fetch", "Fetch a dataset's files, and verify those that are there."),
    "describe": ("mitozoo.cli.describe:describe", "Count what a dataset holds, and say what is missing."),
    "audit": ("mitozoo.cli.audit:audit", "Look for leaks, duplicates and conflicting labels in a dataset."),
    "compare": ("mitozoo.cli.compare:compare", "Compare runs on the cells that all of them tested."),
    "report": ("mitozoo.cli.report:report", "Write one page about runs: scores, curves, controls, pictures."),
    "export": ("mitozoo.cli.export:export", "Write predictions for QuPath, SlideRunner and others."),
    "card": ("mitozoo.cli.card:card", "Write a run for a model card, with BibTeX of what it used."),
    "leaderboard": ("mitozoo.cli.leaderboard:leaderboard", "Build a static site of many results, and look at it."),
    "verify": ("mitozoo.cli.runs:verify", "Recompute a run's numbers from its files."),
    "submission": ("mitozoo.cli.submission:submission", "Make a submission of a run, or check one."),
    "reproduce": ("mitozoo.cli.reproduce:reproduce", "Repeat published values, and say how far off they are."),
    "check": ("mitozoo.cli.check:check", "Check that a model keeps the contract and what it declares."),
    "bench": ("mitozoo.cli.bench:bench", "Measure how fast a model embeds here, and where the time goes."),
    "cache": ("mitozoo.cli.cache:cache", "List, prune or verify the caches."),
    "doctor": ("mitozoo.cli.doctor:doctor", "Check this machine, and which gated models it can reach."),
    "new": ("mitozoo.cli.new:new", "Write a plugin to start from."),
}

INTERRUPTED, BROKEN_PIPE, BUG = 130, 141, 70


class LazyCommands(click.Group):
    """A group that imports a command when it is typed, so that help is instant and one command cannot break another."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        import importlib

        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands' help from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or say which one it was likely meant to be."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else " See them all: mitozoo --help"
            raise click.UsageError(f"there is no command '{name}'.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; tell its errors in a line or two, with the exit code that they deserve."""
        try:
            outcome = self._run(ctx)
        except (click.ClickException, click.exceptions.Exit) as leaving:
            _tell_the_end(leaving.exit_code, leaving if isinstance(leaving, click.ClickException) else None)
            raise
        _tell_the_end(0)
        return outcome

    def _run(self, ctx: click.Context) -> object:
        try:
            with heard_between_imports():
                outcome: object = super().invoke(ctx)
            sys.stdout.flush()  # so that a closed pipe shows here, not while Python exits
        except MitozooError as error:
            _leave(error.exit_code, f"Error: {error.message}", error.hint, error=error)
        except (KeyboardInterrupt, click.Abort) as error:
            _leave(INTERRUPTED, "\nInterrupted.", error=error)
        except BrokenPipeError:
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # nobody reads: whatever is left goes nowhere
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 (a bug: its traceback is for those who ask for it)
            line = f"Error: this is a bug in mitozoo or a plugin: {type(error).__name__}: {error}"
            hint = "To see where it happened, run it again with MITOZOO_TRACEBACK=1 in front."
            _leave(BUG, line, hint, error=error)
        return outcome


def _nobody_reads() -> bool:
    """Tell whether stdout is a pipe whose reader has gone; any other broken pipe is an error like others."""
    import select

    stdout = select.poll()
    stdout.register(sys.stdout.fileno(), 0)
    return bool(stdout.poll(0))


def _leave(code: int, *lines: str | None, error: BaseException) -> NoReturn:
    """Write to stderr what went wrong, without any secret, and exit. `MITOZOO_TRACEBACK` adds where."""
    from mitozoo.redaction import redact

    if os.environ.get("MITOZOO_TRACEBACK", "0") not in ("", "0"):
        import traceback

        click.echo(redact(traceback.format_exc()), err=True, nl=False)
    for line in filter(None, lines):
        click.echo(redact(line), err=True)
    if log := sys.modules.get("mitozoo.engine.log"):
        log.tell_failure(error)
    raise click.exceptions.Exit(code)  # ctx.exit would close the log before its last line


def _tell_the_end(code: int, error: click.ClickException | None = None) -> None:
    """Have the log end with the exit code, where one is kept: only then was its module imported."""
    if log := sys.modules.get("mitozoo.engine.log"):
        if error is not None:
            log.tell_failure(error)
        log.tell("end", f"exit code {code}", exit_code=code)


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mitozoo", message="mitozoo %(version)s")
def main() -> None:
    """How good is this encoder at telling mitotic figures apart, and can I trust the number?"""
