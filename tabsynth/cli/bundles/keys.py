"""The command ``keys``: create the key pair that signs releases."""

from __future__ import annotations

import os
from argparse import Namespace

from tabsynth.cli.output import AddCommand, print_result

PASSWORD_VARIABLE = "TABSYNTH_KEY_PASSWORD"
"""Environment variable with the password of a private key; passwords are no arguments, which other users can see."""

KEYS = f"""\
examples:
  tabsynth keys --private release.pem --public release.pub

The private key is readable by its owner only (mode 0600), and encrypted if {PASSWORD_VARIABLE} is set in the
environment. Give recipients the public key, and its fingerprint over another channel.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    keys = command("keys", "Create an ed25519 key pair that signs releases.", KEYS)
    keys.add_argument("--private", required=True, metavar="FILE", help="the private key to write (PEM)")
    keys.add_argument("--public", required=True, metavar="FILE", help="the public key to write (PEM)")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.release.keys import create_keys

    fingerprint = create_keys(args.private, args.public, password=os.environ.get(PASSWORD_VARIABLE))
    data = {"private": args.private, "public": args.public, "fingerprint": fingerprint}
    return print_result(data, f"wrote {args.private} and {args.public}\nfingerprint: {fingerprint}")
