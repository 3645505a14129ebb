"""The `gateway` command."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command (default: this process's arguments) and exit with its code.

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


if __name__ == "__main__":
    main()
