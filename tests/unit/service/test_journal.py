"""The outage journal: our own absence, the link, the gateways."""

from unit.service.bench import SILENT_AFTER_S, START_S, Bench

from headend.service.journal import OutageKind


def outages(bench: Bench, kind: OutageKind, *, open_only: bool = False) -> list[tuple[str, int, int | None]]:
    """(subject, began, ended) relative to the start, oldest first."""
    return [
        (row.subject, row.began_at_s - START_S, None if row.ended_at_s is None else row.ended_at_s - START_S)
        for row in reversed(bench.outages())
        if row.kind == kind and (row.ended_at_s is None or not open_only)
    ]


def keep_alive(bench: Bench, seconds: int, *gateways: str) -> None:
    """Let time pass with a reading of these gateways' meters every ten minutes."""
    meters = {"G1": "M1", "G2": "M3"}
    for _ in range(0, seconds, 600):
        bench.clock.advance(600)
        for gateway in gateways:
            now_s = bench.clock.now_s()
            bench.readings((meters[gateway], now_s, now_s, 0), gateway=gateway)
        bench.run()


def test_first_start_is_no_outage(bench: Bench) -> None:
    bench.run()
    assert outages(bench, OutageKind.HEADEND) == []


def test_own_absence_is_written_down_at_the_next_start(online: Bench) -> None:
    online.wait(100)
    online.clock.advance(500)
    online.start()
    online.run()
    assert outages(online, OutageKind.HEADEND) == [("headend serve", 100, 600)]
    assert "without a word" in next(row.detail for row in online.outages() if row.kind == "HEADEND")


def test_stop_in_good_order_is_told_from_a_crash(online: Bench) -> None:
    online.wait(100)
    online.headend.stop()
    online.clock.advance(500)
    online.start()
    online.run()
    assert outages(online, OutageKind.HEADEND) == [("headend serve", 100, 600)]
    assert "good order" in next(row.detail for row in online.outages() if row.kind == "HEADEND")


def test_heartbeat_is_given_while_there_is_nothing_to_do(online: Bench) -> None:
    online.wait(1)
    online.wait(1)
    with online.store.view() as uow:
        assert uow.heartbeat() == (START_S + 2, False)


def test_clock_that_went_back_makes_no_outage_of_negative_length(online: Bench) -> None:
    online.wait(1_000)
    online.clock = type(online.clock)(START_S + 10)
    online.start()
    online.run()
    ((_, began, ended),) = outages(online, OutageKind.HEADEND)
    assert ended is not None
    assert began <= ended


def test_link_is_out_from_its_loss_to_its_return(online: Bench) -> None:
    online.clock.advance(100)
    online.link.disconnect()
    online.run()
    assert outages(online, OutageKind.BROKER_LINK, open_only=True) == [("broker", 100, None)]
    online.clock.advance(50)
    online.link.disconnect()
    online.run()
    online.clock.advance(50)
    online.link.connect()
    online.run()
    assert outages(online, OutageKind.BROKER_LINK)[-1] == ("broker", 100, 200)


def test_link_that_never_came_up_is_out_since_the_start(bench: Bench) -> None:
    bench.run()
    assert outages(bench, OutageKind.BROKER_LINK) == [("broker", 0, None)]


def test_silent_gateway_is_out_since_it_was_last_heard(online: Bench) -> None:
    keep_alive(online, 1_200, "G1", "G2")
    keep_alive(online, SILENT_AFTER_S, "G1")
    assert outages(online, OutageKind.GATEWAY) == []
    keep_alive(online, 600, "G1")
    assert outages(online, OutageKind.GATEWAY) == [("R1/G2", 1_200, None)]
    keep_alive(online, 6_000, "G1")
    assert outages(online, OutageKind.GATEWAY) == [("R1/G2", 1_200, None)], "one outage, not one a heartbeat"
    keep_alive(online, 600, "G1", "G2")
    assert outages(online, OutageKind.GATEWAY) == [("R1/G2", 1_200, 1_200 + SILENT_AFTER_S + 600 + 6_000 + 600)]


def test_gateway_is_out_from_its_last_will(online: Bench) -> None:
    keep_alive(online, 600, "G1", "G2")
    online.status(False, "G2")
    online.run()
    assert outages(online, OutageKind.GATEWAY) == [("R1/G2", 600, None)]
    keep_alive(online, 600, "G1", "G2")
    assert outages(online, OutageKind.GATEWAY) == [("R1/G2", 600, 1_200)]


def test_nobody_is_called_silent_while_the_link_is_out(online: Bench) -> None:
    online.link.disconnect()
    for _ in range(20):
        online.wait(SILENT_AFTER_S)
    assert outages(online, OutageKind.GATEWAY) == []
    online.link.connect()
    online.run()
    assert outages(online, OutageKind.GATEWAY) == []
    online.wait(SILENT_AFTER_S + 1)
    assert len(outages(online, OutageKind.GATEWAY)) == 2, "silence is counted from the link's return"


def test_outage_of_a_gateway_goes_on_over_a_restart(online: Bench) -> None:
    online.status(False, "G2")
    online.run()
    online.clock.advance(100)
    online.start()
    online.link.connect()
    keep_alive(online, 6_000, "G1")
    assert outages(online, OutageKind.GATEWAY) == [("R1/G2", 0, None)]
    online.readings(("M3", 1, START_S, 5), gateway="G2")
    online.run()
    assert outages(online, OutageKind.GATEWAY) == [("R1/G2", 0, 6_100)]


def test_last_will_that_comes_behind_a_message_in_one_batch_is_the_last_word(online: Bench) -> None:
    online.readings(("M3", 1, START_S, 5), gateway="G2")
    online.status(False, "G2")
    online.run()
    assert outages(online, OutageKind.GATEWAY, open_only=True) == [("R1/G2", 0, None)]
    online.recharge("M3", "PAY-3")
    online.run()
    assert online.commands() == []


def test_loss_of_the_link_behind_a_message_in_one_batch_is_the_last_word(online: Bench) -> None:
    online.readings(("M1", 1, START_S, 5))
    online.link.disconnect()
    online.run()
    online.recharge("M1", "PAY-1")
    online.run()
    assert online.commands() == []


def test_gateway_that_is_registered_later_and_never_speaks_is_silent(online: Bench) -> None:
    online.register("M9", gateway="G9")
    keep_alive(online, 2 * SILENT_AFTER_S, "G1", "G2")
    assert [subject for subject, _, _ in outages(online, OutageKind.GATEWAY)] == ["R1/G9"]


def test_stop_before_the_first_step_forgets_no_absence(online: Bench) -> None:
    online.wait(100)
    online.clock.advance(5_000)
    online.start()
    online.headend.stop()
    online.start()
    online.run()
    assert outages(online, OutageKind.HEADEND)[0] == ("headend serve", 100, 5_100)
