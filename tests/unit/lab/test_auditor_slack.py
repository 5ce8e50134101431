"""What may still be under way follows the speed of the clock."""

from meter_sim.lab.auditor.slack import Slack
from meter_sim.lab.scenario import Clock

CLOCK = Clock.model_validate(
    {
        "start": "2024-10-22T00:00Z",
        "speed": 100,
        "turns": [{"at": "1h", "speed": 1_000}, {"at": "2h", "speed": 10}],
    }
)
START_S = CLOCK.start_s


def test_a_simulation_has_a_fixed_one() -> None:
    assert Slack.of(CLOCK, "simulation").after(START_S) == Slack.of(CLOCK, "simulation").most_s == 60


def test_between_processes_it_is_wall_time_at_the_speed_in_force() -> None:
    slack = Slack.of(CLOCK, "processes")
    assert slack.after(START_S) == 200
    assert slack.after(START_S + 3_600) == 2_000
    assert slack.after(START_S + 7_200) == 20
    assert slack.most_s == 2_000


def test_it_goes_on_at_the_speed_that_takes_over() -> None:
    slack = Slack.of(CLOCK, "processes")
    assert slack.after(START_S + 3_500) == 100 + 1_000
    assert slack.after(START_S + 6_200) == 1_000 + 10
    assert slack.after(START_S - 50) == 200
