"""The parts of a run as processes: which of them runs, which was killed how often, and who starts it again.

Kills are counted, so that faults may overlap. Knows command lines only from the installation; what the counter is
asked is the plant's.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from meter_sim.lab.installation import ROOT, Installation
from meter_sim.lab.line_command import STORE_TROUBLE, LineCommand
from meter_sim.lab.pace import Pace
from meter_sim.lab.plant import Part
from meter_sim.lab.processes import Child, Children, LabError

PROXY: Final = "proxy"
READY_TIMEOUT_S: Final = 60.0
RESTART_S: Final = 0.5
MOST_RESTARTS: Final = 20
STEADY_S: Final = 5.0
"""A head-end that its store has ended is started again after so long, and so often until one is steady."""


class Parts:
    """Broker, proxy, head-end and fleet, and the counter, which is a command that answers."""

    def __init__(self, site: Installation, counter: LineCommand, disk_is_bad: Callable[[], bool]) -> None:
        """Nothing runs yet."""
        self.children = Children(ROOT, site.folder.path)
        self.pace = Pace(self._send)
        self._site = site
        self._counter = counter
        self._disk_is_bad = disk_is_bad
        self._downs: Counter[Part] = Counter(dict.fromkeys(Part, 1))
        self._is_doomed = False
        self._restarts = 0
        self._restart_at_s = 0.0
        self._headend_began_s = 0.0

    # --- the run -------------------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """Start the broker alone."""
        self._begin(Part.BROKER)

    def wait_for_broker(self) -> None:
        """Wait until it listens."""
        broker = self.children.get(Part.BROKER)
        assert broker is not None
        broker.wait_until_ready(self._site.broker_listens, READY_TIMEOUT_S)

    def start_others(self) -> None:
        """Start all others, and wait until all are ready."""
        proxy = self.children.start(PROXY, self._site.proxy_command(), self._site.environment)
        self._counter.open()
        headend = self._begin(Part.HEADEND)
        # The first start makes the keys that the fleet verifies by.
        headend.wait_until_ready(lambda: "headend ready" in headend.output(), READY_TIMEOUT_S)
        fleet = self._begin(Part.FLEET)
        proxy.wait_until_ready(lambda: "proxy ready" in proxy.output(), READY_TIMEOUT_S)
        fleet.wait_until_ready(self._site.fleet_progress.exists, READY_TIMEOUT_S)
        self._downs.clear()

    def end_fleet(self) -> None:
        """End the fleet in good order."""
        if self.children.is_up(Part.FLEET):
            self.children.terminate(Part.FLEET)

    def start_fleet(self) -> None:
        """Start it once more, however often it was killed."""
        self._downs[Part.FLEET] = 0
        self._begin(Part.FLEET)

    def stop(self) -> None:
        """End all in good order, those that speak before those that they speak to."""
        for name in (Part.FLEET, Part.HEADEND, Part.BROKER, PROXY):
            if self.children.is_up(name):
                self.children.terminate(name)
        self._downs.update(dict.fromkeys(Part, 1))

    def close(self) -> None:
        """Kill whatever is left."""
        try:
            self.pace.close()
            self._counter.kill()
        finally:
            self.children.__exit__(None, None, None)

    # --- what faults do ------------------------------------------------------------------------------------

    def is_up(self, part: Part) -> bool:
        """See `Plant`."""
        return self._downs[part] == 0

    def kill(self, part: Part) -> None:
        """See `Plant`. The counter dies while it deals with the next request, or when it is started again."""
        self._downs[part] += 1
        if self._downs[part] > 1:
            return
        if part is Part.COUNTER:
            self._is_doomed = True
        elif self.children.is_up(part):
            self.children.kill(part)

    def start(self, part: Part) -> None:
        """See `Plant`. It does not wait until the part is ready."""
        self._downs[part] -= 1
        assert self._downs[part] >= 0, part
        if self._downs[part] > 0:
            return
        if part is not Part.COUNTER:
            self._begin(part)
            return
        self.kill_counter()
        self._counter.open()
        self.pace.begun(part)

    def kill_counter(self) -> None:
        """SIGKILL what takes payments, now; it comes back with the next request, if it is up."""
        self._counter.kill()
        self._is_doomed = False

    def take_doom(self) -> bool:
        """Whether the counter was killed and has yet to die: in this request."""
        is_doomed, self._is_doomed = self._is_doomed, False
        return is_doomed

    def tend(self) -> None:
        """See that what should be up is up.

        A head-end that gave up because of its store is started again, as a service manager does.

        Raises:
            LabError: a process has ended that nobody killed.
        """
        now_s, headend = time.monotonic(), self.children.get(Part.HEADEND)
        if headend is not None and headend.status == STORE_TROUBLE:
            self.children.kill(Part.HEADEND)
            self._restarts += 1
            self._restart_at_s = now_s + RESTART_S
            if self._restarts > MOST_RESTARTS and not self._disk_is_bad():
                raise LabError(f"the head-end cannot use its store (log: {headend.log})")
        elif headend is None and self.is_up(Part.HEADEND) and now_s >= self._restart_at_s:
            self._begin(Part.HEADEND)
        elif headend is not None and now_s > self._headend_began_s + STEADY_S:
            self._restarts = 0
        self.children.check()

    def _begin(self, part: Part) -> Child:
        site, env = self._site, self._site.environment
        match part:
            case Part.BROKER:
                command = site.broker_command()
            case Part.HEADEND:
                command, env = site.under_test_command("serve"), site.serve_environment
                self._headend_began_s = time.monotonic()
            case _:
                command = site.fleet_command()
        child = self.children.start(part, command, env)
        self.pace.begun(part)
        return child

    def _send(self, part: Part, number: signal.Signals) -> None:
        process = self._counter if part is Part.COUNTER else self.children.get(part)
        if process is not None:
            process.send(number)
