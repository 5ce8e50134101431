"""`meter-sim lab explore`: a campaign of random scenarios; the first that fails is shrunk and printed as a file.

Exit status: 0 all clean, 1 a seed failed, 2 a fault never fired though it had to, 105 interrupted.
"""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from meter_sim.lab.processes import interrupt_on_sigterm

BAD_INPUT: Final = 104
INTERRUPTED: Final = 105
TELL_EVERY_S: Final = 5.0
MOST_SEEDS: Final = 1_000_000


def explore_command(
    seeds: Annotated[str, typer.Option(help="From..to, both included, or one.")] = "0..99",
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
    again: Annotated[int, typer.Option(min=0, help="Run so many of the seeds twice: same seed, same log.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for scenarios that fail.")] = Path("var") / "explore",
    no_shrink: Annotated[bool, typer.Option("--no-shrink", help="Leave what fails as it was drawn.")] = False,
    all_faults: Annotated[bool, typer.Option("--all-faults", help="Fail if a kind of fault never fired.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what came out here.")] = None,
) -> None:
    """Draw scenarios from seeds, run each on virtual time and judge it: anything may break, then all heals."""
    try:
        wanted = _seeds(seeds)
    except ValueError as error:
        print(f"lab: --seeds {seeds!r}: {error}", file=sys.stderr)
        raise typer.Exit(BAD_INPUT) from error
    interrupt_on_sigterm()
    from meter_sim.lab.simulation.campaign import Campaign

    campaign = Campaign(wanted, jobs, again, out, shrinks=not no_shrink)
    tell_at_s = time.monotonic() + TELL_EVERY_S
    try:
        for line in campaign.run():
            if line is not None:
                print(line, flush=True)
            elif time.monotonic() >= tell_at_s:
                tell_at_s = time.monotonic() + TELL_EVERY_S
                print(campaign.progress(), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if json_file is not None:
        campaign.write_json(json_file)
    raise typer.Exit(campaign.exit_status(all_faults=all_faults))


def _seeds(text: str) -> range:
    """The seeds of `from..to`.

    Raises:
        ValueError: with a message for a person.
    """
    first, dots, last = text.partition("..")
    if not (first.isdigit() and (last.isdigit() if dots else True)):
        raise ValueError("must be such as 0..999, or one number")
    found = range(int(first), int(last if dots else first) + 1)
    if not found:
        raise ValueError("the second number is below the first")
    if len(found) > MOST_SEEDS:
        raise ValueError(f"at most {MOST_SEEDS:,} at once")
    return found
