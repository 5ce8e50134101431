"""The head-end's own journal of outages: when it was down, when the broker was, when a gateway was silent."""

from enum import StrEnum

from headend.service.ports import UnitOfWork
from headend.service.traffic import GatewayId


class OutageKind(StrEnum):
    """What was out."""

    HEADEND = "HEADEND"
    BROKER_LINK = "BROKER_LINK"
    GATEWAY = "GATEWAY"


HEADEND_SUBJECT = "headend serve"
LINK_SUBJECT = "broker"


class Journal:
    """Knows when each gateway was last heard, and writes down what is silent for too long."""

    def __init__(self, silent_after_s: int) -> None:
        self._silent_after_s = silent_after_s
        self._heard: dict[int, int] = {}
        self._awaited: dict[int, int] = {}
        self._to_note: set[int] = set()
        self._silent: set[int] = set()
        self._names: dict[int, GatewayId] = {}
        self._link_up = False

    def start(self, uow: UnitOfWork, now_s: int) -> None:
        """Write down our own absence since the last sign of life, and wait for every gateway from now on."""
        before = uow.heartbeat()
        if before is not None:
            at_s, stopped = before
            detail = "stopped in good order" if stopped else "ended without a word"
            uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, detail, min(at_s, now_s))
            uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, now_s)
        uow.begin_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, "not connected yet", now_s)
        uow.beat(now_s, stopped=False)

    def stalled(self, uow: UnitOfWork, now_s: int) -> None:
        """Write down that we stood still since the last sign of life: a paused machine, a full disk."""
        before = uow.heartbeat()
        assert before is not None, "it was written at the start"
        uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "stood still", min(before[0], now_s))
        uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, now_s)

    def resume(self, uow: UnitOfWork) -> None:
        """Take up from the store after a restart, or after a transaction that failed."""
        lasting = {row.subject for row in uow.outages(ended=False, limit=-1) if row.kind == OutageKind.GATEWAY}
        self._silent = {key for key, gateway, _ in uow.gateways() if _subject(gateway) in lasting}
        self._to_note = set(self._heard)

    def link_changed(self, up: bool, detail: str, uow: UnitOfWork, now_s: int) -> None:
        """The link to the broker came or went."""
        self._link_up = up
        if up:
            uow.end_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, now_s)
            # Silence is counted from here: while we were deaf, nobody can be called silent.
            self._learn_names(uow)
            self._awaited = dict.fromkeys(self._names, now_s)
        else:
            uow.begin_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, detail, now_s)

    def gateways_heard(self, gateway_keys: set[int], uow: UnitOfWork, now_s: int) -> None:
        """Messages came from these gateways."""
        for gateway_key in gateway_keys:
            self._heard[gateway_key] = now_s
        self._to_note |= gateway_keys
        for gateway_key in gateway_keys & self._silent:
            self._silent.discard(gateway_key)
            uow.end_outage(OutageKind.GATEWAY, self._name(gateway_key, uow), now_s)

    def gateway_left(self, gateway_key: int, uow: UnitOfWork, now_s: int) -> None:
        """A gateway's last will came."""
        self._call_silent(gateway_key, "its session ended", now_s, uow)

    def beat(self, uow: UnitOfWork, now_s: int, *, stopped: bool = False) -> None:
        """Give a sign of life, and look who has given none."""
        uow.beat(now_s, stopped=stopped)
        uow.note_gateways_heard([(key, self._heard[key]) for key in sorted(self._to_note)])
        self._to_note.clear()
        for gateway_key in self._learn_names(uow):
            self._awaited[gateway_key] = now_s
        if self._link_up:
            for gateway_key, awaited_s in self._awaited.items():
                since_s = max(awaited_s, self._heard.get(gateway_key, awaited_s))
                if now_s - since_s > self._silent_after_s:
                    self._call_silent(gateway_key, "nothing came", since_s, uow)

    def _call_silent(self, gateway_key: int, detail: str, since_s: int, uow: UnitOfWork) -> None:
        if gateway_key not in self._silent:
            self._silent.add(gateway_key)
            uow.begin_outage(OutageKind.GATEWAY, self._name(gateway_key, uow), detail, since_s)

    def _name(self, gateway_key: int, uow: UnitOfWork) -> str:
        if gateway_key not in self._names:
            self._learn_names(uow)
        return _subject(self._names[gateway_key])

    def _learn_names(self, uow: UnitOfWork) -> list[int]:
        """The keys of gateways that were registered since the last call."""
        new = {key: gateway for key, gateway, _ in uow.gateways(after=max(self._names, default=0))}
        self._names |= new
        return list(new)


def _subject(gateway: GatewayId) -> str:
    return f"{gateway.region}/{gateway.gateway}"
