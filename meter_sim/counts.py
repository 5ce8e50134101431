"""What a fleet process has done, in numbers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What this process did since it started. Readings are rows; frames sent include repetitions.

    `commands_unknown` were of a kind that no meter here knows.
    """

    connects: int = 0
    reconnects: int = 0
    disconnects: int = 0
    hello_frames_sent: int = 0
    frames_sent: int = 0
    frames_receipted: int = 0
    frames_refused: int = 0
    rows_refused: int = 0
    readings_taken: int = 0
    readings_receipted: int = 0
    results_sent: int = 0
    credits_applied: int = 0
    relay_changes: int = 0
    policies_applied: int = 0
    commands_refused: int = 0
    commands_unknown: int = 0
    bad_messages: int = 0
