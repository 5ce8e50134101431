"""The command line: `meters`, `money` and `deliveries` work on the store alone, `plant` runs and checks things."""

import os
import sys

import typer

from headend.cli import (
    arrears,
    billing,
    deliveries,
    evidence,
    exceptions,
    keys,
    meters,
    money,
    notices,
    plant,
    protection,
    readings,
    recovery,
    relays,
    statements,
    tariffs,
)
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
meters.app.command("terms")(billing.terms)
meters.app.command("move-out")(billing.moved_out)
meters.app.command("exchange")(billing.exchange)
meters.app.command("reading")(readings.enter)
# So that an amount of -5 is called a bad amount, and not an unknown option.
app.command("recharge", context_settings={"ignore_unknown_options": True})(money.recharge)
app.command("balance")(money.show_balance)
app.command("statement")(statements.statement)
app.add_typer(tariffs.app, name="tariff")
app.command("reverse")(billing.reverse_transfer)
app.command("rebill")(billing.rebill_days)
app.command("days")(billing.days)
app.command("queue")(deliveries.queue)
app.command("relay")(relays.relay)
app.add_typer(protection.moratoria, name="moratorium")
app.add_typer(protection.quarantine, name="quarantine")
app.add_typer(keys.app, name="keys")
app.command("serve")(plant.serve)
app.command("broker")(plant.broker)
app.command("audit")(plant.audit)
app.command("outages")(plant.outages)
app.command("evidence")(evidence.evidence)
app.command("notify")(notices.notify)
app.add_typer(notices.app, name="notices")
app.add_typer(exceptions.app, name="exceptions")
app.command("recovery")(recovery.recovery)
app.add_typer(arrears.app, name="arrears")
app.command("dead-letters")(plant.dead_letters)
app.command("doctor")(plant.doctor)
app.command("config")(plant.show_config)


def main() -> None:
    """Run a command; what the user can mend is said in one line, without a traceback."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except HeadendError as error:
        _end(str(error), error.exit_status)
    except StoreError as error:
        _end(str(error), ExitStatus.STORE)
    except BrokenPipeError:
        # Whoever read our output has had enough: no complaint, and none from the interpreter's last flush.
        _discard_output()
        sys.exit(1)
    except OSError as error:
        _discard_output()
        _end(
            f"the answer could not be written: {error.strerror}; what it speaks of is done",
            ExitStatus.CHECK_FAILED,
        )


def _discard_output() -> None:
    """Keep the interpreter's last flush from failing once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(message: str, status: int) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(int(status))
