"""The rules of one meter, as pure functions on integers. Knows no clock, no log, no message format.

A meter holds two things that only commands change. Its credit counter takes the value of a command with a
newer sequence number and of no other, so that lost, repeated or reordered commands cannot count an amount
twice. Its relay takes the position of the newest version. Nothing else moves the relay: no balance, no lost
contact, no passing of time. And it does not open inside a protected window of the policy that the meter holds,
whoever asks for it; it closes at any time.

Energy: `register = opening + demand - undrawn`, where demand is what the home would have drawn if always
supplied, and `undrawn` grows by what it could not draw while the relay was open.
"""

from dataclasses import dataclass, replace

from headend.wire.errors import RefusalCode
from headend.wire.limits import FUTURE_TOLERANCE_S
from meter_sim.policy import Policy


@dataclass(frozen=True, slots=True)
class Meter:
    """What one meter remembers without power.

    `opened_demand_wh`: the demand at which the relay opened, while it is open; else 0.
    """

    opening_register_wh: int = 0
    credit_seq: int = 0
    credit_total_micros: int = 0
    relay_version: int = 0
    relay_open: bool = False
    undrawn_wh: int = 0
    opened_demand_wh: int = 0
    policy: Policy | None = None

    @property
    def policy_version(self) -> int:
        """Version of the policy in force; 0: it never had one."""
        return 0 if self.policy is None else self.policy.version


@dataclass(frozen=True, slots=True)
class Answer:
    """The meter after a command; `code` says why it was refused; `changed` whether the meter differs."""

    meter: Meter
    code: RefusalCode | None = None
    changed: bool = False


def register_wh(meter: Meter, demand_wh: int) -> int:
    """All energy ever drawn, when the home's demand since the start of the run is `demand_wh`."""
    supplied_wh = meter.opened_demand_wh if meter.relay_open else demand_wh
    return meter.opening_register_wh + supplied_wh - meter.undrawn_wh


def apply_credit(meter: Meter, seq: int, credit_total_micros: int) -> Answer:
    """Take the head-end's credit counter as of credit number `seq`."""
    if seq <= meter.credit_seq:
        return Answer(meter)
    if credit_total_micros < meter.credit_total_micros:
        return Answer(meter, RefusalCode.TOTAL_WENT_BACK)
    return Answer(replace(meter, credit_seq=seq, credit_total_micros=credit_total_micros), changed=True)


def apply_relay(
    meter: Meter,
    version: int,
    opens: bool,
    expires_at_s: int | None,
    clock_s: int,
    demand_wh: int,
    issued_at_s: int = 0,
) -> Answer:
    """Take a relay position. `clock_s` is the meter's own time, `demand_wh` the home's demand now.

    An answer to the version that is already in force is given again, however late it is asked for.
    """
    if version == meter.relay_version:
        return Answer(meter)
    if version < meter.relay_version:
        return Answer(meter, RefusalCode.OLDER_VERSION)
    if expires_at_s is not None and clock_s > expires_at_s:
        return Answer(meter, RefusalCode.EXPIRED)
    refusal = _opening_refusal(meter.policy, issued_at_s, clock_s) if opens else None
    if refusal is not None:
        return Answer(meter, refusal)
    return Answer(_move_relay(replace(meter, relay_version=version), opens, demand_wh), changed=True)


def _opening_refusal(policy: Policy | None, issued_at_s: int, clock_s: int) -> RefusalCode | None:
    refusal = None if policy is None else policy.refusal(clock_s)
    if refusal is None and issued_at_s > clock_s + FUTURE_TOLERANCE_S:
        return RefusalCode.FUTURE_DATED
    return refusal


def apply_policy(meter: Meter, policy: Policy, issued_at_s: int, clock_s: int) -> Answer:
    """Take a policy. It never expires as an order: an old one that is newer than the meter's is better than none.

    The version in force with other content is as bad as an older one.
    """
    if policy == meter.policy:
        return Answer(meter)
    if policy.version <= meter.policy_version:
        return Answer(meter, RefusalCode.OLDER_VERSION)
    if issued_at_s > clock_s + FUTURE_TOLERANCE_S:
        return Answer(meter, RefusalCode.FUTURE_DATED)
    return Answer(replace(meter, policy=policy), changed=True)


def _move_relay(meter: Meter, opens: bool, demand_wh: int) -> Meter:
    if opens == meter.relay_open:
        return meter
    if opens:
        return replace(meter, relay_open=True, opened_demand_wh=demand_wh)
    undrawn_wh = meter.undrawn_wh + demand_wh - meter.opened_demand_wh
    return replace(meter, relay_open=False, undrawn_wh=undrawn_wh, opened_demand_wh=0)
