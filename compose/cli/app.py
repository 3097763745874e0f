"""The root command, its table of commands, and the one place where every error becomes a message and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import cast

import click

from compose import __version__
from compose.cli import output
from compose.cli.group import Lazy, LazyGroup, nearest
from compose.cli.options import Ansi, GlobalOptions, ProgressMode
from compose.errors import ComposeError
from runtime.errors import RuntimeFailure

INTERRUPTED = 130
PIPE_CLOSED = 141

COMMANDS = {
    "attach": Lazy("compose.cli.attach:attach", "Attach to a service's running container"),
    "build": Lazy("compose.cli.build:build", "Build or rebuild services"),
    "bundle": Lazy("compose.cli.bundle:bundle", "Write a whole project, images and all, into one file"),
    "commit": Lazy("compose.cli.commit:commit", "Create a new image from a service container's changes"),
    "config": Lazy("compose.cli.config:config", "Parse, resolve and render compose file in canonical format"),
    "convert": Lazy("compose.cli.config:config", "Alias of config", hidden=True),
    "cp": Lazy("compose.cli.cp:cp", "Copy files/folders between a service container and the local filesystem"),
    "create": Lazy("compose.cli.create:create", "Creates containers for a service"),
    "doctor": Lazy("compose.cli.doctor:doctor", "Say what this machine lacks for running containers"),
    "down": Lazy("compose.cli.down:down", "Stop and remove containers, networks"),
    "events": Lazy("compose.cli.events:events", "Receive real time events from containers"),
    "exec": Lazy("compose.cli.exec:exec_", "Execute a command in a running container"),
    "export": Lazy("compose.cli.export:export", "Export a service container's filesystem as a tar archive"),
    "graph": Lazy("compose.cli.graph:graph", "Show what depends on what"),
    "help": Lazy("compose.cli.help:help_", "Help about any command", hidden=True),
    "image": Lazy("compose.cli.image:image", "Manage images"),
    "images": Lazy("compose.cli.images:images", "List images used by the created containers"),
    "kill": Lazy("compose.cli.lifecycle:kill", "Force stop service containers"),
    "load": Lazy("compose.cli.bundle:load", "Load a bundle and bring its project up"),
    "login": Lazy("compose.cli.login:login", "Log in to a registry"),
    "logout": Lazy("compose.cli.login:logout", "Log out from a registry"),
    "logs": Lazy("compose.cli.logs:logs", "View output from containers"),
    "ls": Lazy("compose.cli.ls:ls", "List running compose projects"),
    "pause": Lazy("compose.cli.lifecycle:pause", "Pause services"),
    "plan": Lazy("compose.cli.plan:plan", "Print what up would do, step by step"),
    "port": Lazy("compose.cli.port:port", "Print the public port for a port binding"),
    "ps": Lazy("compose.cli.ps:ps", "List containers"),
    "pull": Lazy("compose.cli.pull:pull", "Pull service images"),
    "push": Lazy("compose.cli.push:push", "Push service images"),
    "restart": Lazy("compose.cli.lifecycle:restart", "Restart service containers"),
    "rm": Lazy("compose.cli.rm:rm", "Removes stopped service containers"),
    "run": Lazy("compose.cli.run:run", "Run a one-off command on a service"),
    "scale": Lazy("compose.cli.scale:scale", "Scale services"),
    "start": Lazy("compose.cli.lifecycle:start", "Start services"),
    "stats": Lazy("compose.cli.stats:stats", "Display a live stream of container(s) resource usage statistics"),
    "stop": Lazy("compose.cli.lifecycle:stop", "Stop services"),
    "top": Lazy("compose.cli.top:top", "Display the running processes"),
    "unpause": Lazy("compose.cli.lifecycle:unpause", "Unpause services"),
    "up": Lazy("compose.cli.up:up", "Create and start containers"),
    "version": Lazy("compose.cli.version:version", "Show the version information"),
    "volumes": Lazy("compose.cli.volumes:volumes", "List volumes"),
    "wait": Lazy("compose.cli.wait:wait", "Block until containers of all (or specified) services stop."),
    "watch": Lazy("compose.cli.watch:watch", "Watch build context for service and rebuild/refresh containers when files are updated"),
}


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        output.data(f"pycompose version v{__version__}")
        ctx.exit(0)


def _start_ahead(ctx: click.Context, command: str) -> None:
    """Let what the command will need start while its module is imported and the file is read: two processors are there to be used."""
    if command not in ("up", "create", "run", "scale", "down") or ctx.resilient_parsing or {"--help", "-h", "--dry-run"} & set(sys.argv):
        return
    from compose.cli.naming import plain_name
    from runtime.engine import ahead

    with contextlib.suppress(ComposeError):  # said again, and properly, when the command runs
        ahead.for_command(command, plain_name(global_options(dict(ctx.params))))


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    ahead=_start_ahead,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="Compose configuration files ('-' is stdin).")
@click.option("-p", "--project-name", metavar="NAME", help="Project name.")
@click.option("--project-directory", "--workdir", metavar="DIRECTORY", help="Base of relative paths (default: the first file's directory).")
@click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Environment files to use instead of .env.")
@click.option("--profile", "profiles", multiple=True, metavar="PROFILE", help="A profile to enable ('*' for all).")
@click.option("--all-resources", is_flag=True, help="Keep networks and volumes that no service uses.")
@click.option("--ansi", type=click.Choice(["never", "always", "auto"]), help="When to print escape codes.")
@click.option("--no-ansi", is_flag=True, hidden=True)
@click.option("--progress", type=click.Choice(["auto", "tty", "plain", "json", "quiet"]), help="How to show progress.")
@click.option("--parallel", type=int, metavar="N", help="At most N operations at a time (-1: no limit).")
@click.option("--compatibility", is_flag=True, help="Separate the parts of names by '_'.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, change nothing.")
@click.option("--verbose", is_flag=True, hidden=True)
@click.option("-v", "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version.")
@click.pass_context
def root(ctx: click.Context, /, **said: object) -> None:
    """Define and run multi-container applications, without Docker."""
    ctx.obj = global_options(said)
    output.configure(ansi=ctx.obj.ansi, json=ctx.obj.progress == "json")
    if ctx.invoked_subcommand is None:
        output.data(ctx.get_help())


def global_options(said: dict[str, object]) -> GlobalOptions:
    """The options as said, with COMPOSE_ANSI, COMPOSE_PROGRESS, COMPOSE_PARALLEL_LIMIT and COMPOSE_COMPATIBILITY behind them."""
    environment = os.environ
    ansi = "never" if said.pop("no_ansi") else said["ansi"] or environment.get("COMPOSE_ANSI") or "auto"
    said["ansi"] = cast("Ansi", _one_of("--ansi", str(ansi), ("never", "always", "auto")))
    progress = str(said["progress"] or environment.get("COMPOSE_PROGRESS") or "auto")
    said["progress"] = cast("ProgressMode", _one_of("--progress", progress, ("auto", "tty", "plain", "json", "quiet")))
    if said["parallel"] is None:
        said["parallel"] = _integer("COMPOSE_PARALLEL_LIMIT", -1)
    said["compatibility"] = said["compatibility"] or environment.get("COMPOSE_COMPATIBILITY", "").lower() in ("1", "true")
    return GlobalOptions(**said)  # type: ignore[arg-type]


def run(argv: Sequence[str]) -> int:
    """Run the command line; every way it can end becomes an exit code, and at most one message."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, yet `kill -INT` is to end them
    output.configure(ansi="auto", json=False)
    try:
        code = root.main(list(argv), prog_name="pycompose", standalone_mode=False)
        output.flush()
    except (ComposeError, RuntimeFailure) as error:
        return _debugged(error) or output.fail(error)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return _usage(error)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except output.OutputClosed:
        output.discard()
        return PIPE_CLOSED
    except OSError as error:
        return _debugged(error) or _refused(error)
    except Exception as error:
        return _debugged(error) or _bug(error)
    return code if isinstance(code, int) else 0


def _one_of(flag: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        from compose.errors import UsageError

        raise UsageError(f'invalid value "{value}" for {flag}: must be one of {", ".join(allowed)}', hint=nearest(value, allowed))
    return value


def _integer(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        from compose.errors import UsageError

        raise UsageError(f"{variable} must be a number, not {text!r}") from None


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _usage(error: click.ClickException) -> int:
    match error:
        case click.NoSuchOption():
            flags = [o for p in (error.ctx.command.params if error.ctx else []) for o in p.opts]
            output.fail_text(f"unknown flag: {error.option_name}", nearest(error.option_name, flags))
        case click.MissingParameter():
            output.fail_text(f"missing {error.param.human_readable_name if error.param else 'argument'}")
        case _:
            output.fail_text(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        output.note(f"\n{error.ctx.get_usage()}\n\nRun '{error.ctx.command_path} --help' for more information.")
    return 1


def _refused(error: OSError) -> int:
    subject = f"{error.filename}: " if error.filename else ""
    output.fail_text(f"{subject}{error.strerror or error}")
    return 1


def _bug(error: Exception) -> int:
    output.fail_text(
        f"internal error: {type(error).__name__}: {error}",
        "this is a bug in pycompose; PYCOMPOSE_DEBUG=1 shows where it happened",
    )
    return 1


def _debugged(error: Exception) -> int:
    """With PYCOMPOSE_DEBUG set, say where the error came from; returns 0 so that the message follows."""
    if os.environ.get("PYCOMPOSE_DEBUG"):
        import traceback

        output.note("".join(traceback.format_exception(error)))
    return 0
