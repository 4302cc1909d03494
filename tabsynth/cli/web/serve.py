"""The command ``serve``: the local web page."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import DONE, AddCommand, non_negative_integer, say

SERVE = """\
examples:
  tabsynth serve                        then open the printed link in a browser
  tabsynth serve --folder projects --port 0

The page can be used only on this machine, in the browser that opened the link. Each table is a project: a subfolder
with the files that the other commands use.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    serve = command("serve", "Serve a local web page that leads from a table to a release in five steps.", SERVE)
    serve.add_argument("--folder", default="projects", metavar="DIR", help="folder of projects (default: %(default)s)")
    serve.add_argument(
        "--port", type=non_negative_integer, default=8765, metavar="N", help="port; 0: any (default: %(default)s)"
    )


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.errors import missing_package

    try:
        from tabsynth.web.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise missing_package("the web page", error.name or "starlette", "web") from error
    serve(args.folder, args.port, lambda line: say(line, "notice"))  # with --quiet too: it is the only way in
    return DONE
