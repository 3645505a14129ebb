"""The `gateway` command."""

import sys
from collections.abc import Sequence


def main() -> None:
    """This process: run the command that its arguments name, and exit with its code."""
    from gateway.cli.commands import app

    app.callback()(_set_up_logs)
    run(sys.argv[1:])


def run(arguments: Sequence[str]) -> None:
    """Run one command and exit with its code.

    An expected error is one line on standard error, not a traceback.
    """
    from contracts.errors import GatewayError, InvalidInput
    from gateway.cli.commands import app

    try:
        app(arguments, prog_name="gateway")
    except InvalidInput as error:
        sys.stderr.write(f"gateway: {error}\n")
        sys.exit(2)
    except GatewayError as error:
        sys.stderr.write(f"gateway: {error} ({error.reason})\n")
        sys.exit(1)


def _set_up_logs() -> None:
    """Before a command that does anything: warnings go to standard error, redacted as everywhere,
    and so does what nobody catches. Not before help, which loads nothing.
    """
    from contracts import logs

    logs.configure("console", "warning")
    logs.catch_uncaught()


if __name__ == "__main__":
    main()
