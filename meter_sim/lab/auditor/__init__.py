"""The judge of a run: what was promised, what was done, and whether both agree, out of the files of a `RunFolder`.

It shares no code with the head-end but the wire contract, so that a mistake there is not made here a second time:
prices, protected hours and the book of each home are its own (`promises`, `books`). Its yardsticks are the
requests and answers of the journal, the meters' own log and the frames on the wire; the store is what is judged.
"""

from meter_sim.lab.auditor.judge import judge

__all__ = ["judge"]
