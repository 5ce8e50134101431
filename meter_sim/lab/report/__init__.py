"""The report of a run: one page for people and JUnit for CI, from the verdict and the samples alone.

It judges nothing: what it says stands in `result.Result`; the charts are drawn from `samples.jsonl`.
"""

from meter_sim.lab.report.junit import write_junit
from meter_sim.lab.report.page import write_report

__all__ = ["write_junit", "write_report"]
