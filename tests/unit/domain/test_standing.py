"""Alert levels: told once per crossing, armed again by credit; debt counts from the reading that showed it."""

from hypothesis import given
from hypothesis import strategies as st

from headend.domain.notice import NoticeKind
from headend.domain.standing import NO_DEBT, AlertRules, Debt, Standing, look_at, room_micros

RUPEE = 1_000_000
RULES = AlertRules(low_micros=(100 * RUPEE, 50 * RUPEE))
SHARES = AlertRules(low_share_bp=(3_000, 1_000))
EMERGENCY = AlertRules(low_micros=(50,), emergency_credit=True, exhausted_at_micros=-100)
NEW = Standing(0, 0, NO_DEBT)
LOW, ZERO, IN_EMERGENCY = NoticeKind.LOW_BALANCE, NoticeKind.ZERO_BALANCE, NoticeKind.EMERGENCY_CREDIT


def look(
    standing: Standing, balance: int, *, credited: int = 0, at_s: int = 1, rules: AlertRules = RULES, last: int = 0
) -> tuple[Standing, list[tuple[NoticeKind, int]]]:
    looked, crossings = look_at(
        standing,
        rules,
        rules.levels_micros(last),
        balance_micros=balance,
        credits_micros=credited,
        as_of_s=at_s,
    )
    return looked, [(crossing.kind, crossing.level_micros) for crossing in crossings]


def told(balances: list[int], rules: AlertRules = RULES) -> list[list[NoticeKind]]:
    """What each of these balances in turn tells, without any credit in between."""
    standing, notices = NEW, []
    for balance in balances:
        standing, crossings = look(standing, balance, rules=rules)
        notices.append([kind for kind, _ in crossings])
    return notices


def test_balance_above_all_levels_tells_nothing() -> None:
    assert look(NEW, 100 * RUPEE + 1) == (NEW, [])


def test_level_is_told_at_the_level_itself_and_once_only() -> None:
    standing, notices = look(NEW, 100 * RUPEE)
    assert notices == [(LOW, 100 * RUPEE)]
    assert look(standing, 99 * RUPEE) == (standing, [])


def test_each_level_is_told_on_the_way_down() -> None:
    assert told([120 * RUPEE, 90 * RUPEE, 60 * RUPEE, 40 * RUPEE, 1, 0, -1]) == [
        [],
        [LOW],
        [],
        [LOW],
        [],
        [ZERO],
        [],
    ]


def test_of_several_low_levels_at_once_only_the_lowest_is_told() -> None:
    assert look(NEW, 20 * RUPEE)[1] == [(LOW, 50 * RUPEE)]


def test_fall_below_zero_at_once_tells_zero_and_no_low_balance() -> None:
    assert look(NEW, -5)[1] == [(ZERO, 0)]


def test_rise_without_credit_does_not_arm_a_level_again() -> None:
    assert told([50 * RUPEE, 50 * RUPEE + 3, 50 * RUPEE]) == [[LOW], [], []]


def test_recharge_above_the_level_arms_it_again() -> None:
    standing, _ = look(NEW, 40 * RUPEE)
    standing, notices = look(standing, 540 * RUPEE, credited=500 * RUPEE)
    assert notices == []
    assert look(standing, 40 * RUPEE, credited=500 * RUPEE)[1] == [(LOW, 50 * RUPEE)]


def test_recharge_that_stays_below_the_level_tells_nothing_anew() -> None:
    standing, _ = look(NEW, -300 * RUPEE)
    assert look(standing, -200 * RUPEE, credited=100 * RUPEE)[1] == []


def test_recharge_that_passes_some_levels_arms_just_those() -> None:
    standing, _ = look(NEW, -5 * RUPEE)
    standing, notices = look(standing, 70 * RUPEE, credited=75 * RUPEE)
    assert notices == []
    standing, notices = look(standing, 45 * RUPEE, credited=75 * RUPEE)
    assert notices == [(LOW, 50 * RUPEE)]


def test_shares_of_the_last_recharge_are_levels() -> None:
    assert SHARES.levels_micros(200 * RUPEE) == [60 * RUPEE, 20 * RUPEE, 0]
    assert SHARES.levels_micros(0) == [0], "before the first recharge there is zero only"


def test_emergency_credit_is_told_beside_zero_and_not_at_zero_itself() -> None:
    assert told([10, 0, -1, -50], EMERGENCY) == [[LOW], [ZERO], [IN_EMERGENCY], []]
    assert told([-50], EMERGENCY) == [[ZERO, IN_EMERGENCY]]


def test_debt_counts_from_the_reading_that_first_showed_it() -> None:
    standing, _ = look(NEW, -1, at_s=100, rules=EMERGENCY)
    assert standing.debt == Debt(100, None, None)
    standing, _ = look(standing, -100, at_s=200, rules=EMERGENCY)
    assert standing.debt == Debt(100, 200, None)
    standing, _ = look(standing, -300, at_s=300, rules=EMERGENCY)
    assert standing.debt == Debt(100, 200, None)


def test_credit_above_the_limit_ends_the_debt_and_its_announced_cut() -> None:
    standing = Standing(0, 3, Debt(100, 200, 900))
    assert look(standing, 1, credited=400, at_s=400, rules=EMERGENCY)[0].debt == NO_DEBT
    part_paid, _ = look(standing, -50, credited=300, at_s=400, rules=EMERGENCY)
    assert part_paid.debt == Debt(100, None, 900)


@given(
    st.lists(st.integers(-200, 200), min_size=1, max_size=30),
    st.sampled_from([RULES, SHARES, EMERGENCY, AlertRules((5, 10, 70))]),
)
def test_without_credit_no_level_is_ever_told_twice(balances: list[int], rules: AlertRules) -> None:
    standing, levels = NEW, []
    for balance in balances:
        standing, crossings = look(standing, balance, rules=rules, last=300)
        assert all(balance <= level for _, level in crossings)
        levels += [level for _, level in crossings]
    assert len(levels) == len(set(levels))
    assert standing.levels == sum(min(balances) <= level for level in rules.levels_micros(300))


@given(st.integers(-300, 300), st.integers(0, 400), st.sampled_from([RULES, SHARES, EMERGENCY]))
def test_nothing_changes_within_the_room(balance: int, fall: int, rules: AlertRules) -> None:
    levels = rules.levels_micros(300)
    standing, _ = look(NEW, balance, rules=rules, last=300)
    room = room_micros(rules, levels, balance)
    if room is None or fall < room:
        after, crossings = look(standing, balance - fall, rules=rules, last=300)
        assert (after, crossings) == (standing, [])
    if room is not None:
        assert room > 0
        assert look(standing, balance - room, rules=rules, last=300)[0] != standing
