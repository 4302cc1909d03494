"""The command ``verify``: verify a release with the publisher's public key."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import DONE, AddCommand, print_result

NOT_VERIFIED = 5
"""Exit code of a release that was changed, is incomplete, or is signed with another key."""

VERIFY = """\
examples:
  tabsynth verify patients.zip --key release.pub
  tabsynth verify patients.zip.age --key release.pub --identity age-key.txt

Works offline and needs only the public key. Each line is a check, or a claim that cannot be checked. If a file was
changed, removed or added, the command names it and exits with code 5.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    verify = command("verify", "Verify a release with its publisher's public key.", VERIFY)
    verify.add_argument("bundle", metavar="RELEASE", help="a folder, .zip or .zip.age")
    verify.add_argument("--key", required=True, metavar="FILE", help="the publisher's public key (PEM)")
    verify.add_argument("--identity", metavar="FILE", help="the age identity that decrypts a .zip.age")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.release.verify import verify

    result = verify(args.bundle, args.key, identity=args.identity)
    print_result(result.to_dict(), str(result))
    return DONE if result.ok else NOT_VERIFIED
