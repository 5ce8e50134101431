"""The command line. Commands of the counter are in `counter`, those of the plant in `plant`."""

import os
import sys

import typer

from headend.adapters.embedded_broker import BrokerError
from headend.cli import counter, plant
from headend.errors import ExitStatus, HeadendError
from headend.service.ports import StoreError

app = typer.Typer(
    name="headend",
    help="A prepaid smart-meter head-end that survives its own outages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
counter.add_to(app)
plant.add_to(app)


def main() -> None:
    """Run a command; what the user can mend is said in one line, without a traceback."""
    try:
        app()
    except HeadendError as error:
        _end(str(error), error.exit_status)
    except StoreError as error:
        _end(str(error), ExitStatus.STORE)
    except BrokerError as error:
        _end(str(error), error.exit_status)
    except BrokenPipeError:
        # Whoever read our output has had enough: no complaint, and none from the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _end(message: str, status: int) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(int(status))
