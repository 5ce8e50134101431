"""The command line: `meters`, `money` and `deliveries` work on the store alone, `plant` runs and checks things."""

import os
import sys

import typer

from headend.cli import deliveries, meters, money, plant
from headend.errors import ExitStatus, HeadendError
from headend.service.ports import StoreError

app = typer.Typer(
    name="headend",
    help="A prepaid smart-meter head-end that survives its own outages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(meters.app, name="meter")
app.command("recharge")(money.recharge)
app.command("balance")(money.show_balance)
app.command("statement")(money.statement)
app.command("queue")(deliveries.queue)
app.command("relay")(deliveries.relay)
app.command("serve")(plant.serve)
app.command("broker")(plant.broker)
app.command("audit")(plant.audit)
app.command("outages")(plant.outages)
app.command("doctor")(plant.doctor)
app.command("config")(plant.show_config)


def main() -> None:
    """Run a command; what the user can mend is said in one line, without a traceback."""
    try:
        app()
    except HeadendError as error:
        _end(str(error), error.exit_status)
    except StoreError as error:
        _end(str(error), ExitStatus.STORE)
    except BrokenPipeError:
        # Whoever read our output has had enough: no complaint, and none from the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _end(message: str, status: int) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(int(status))
