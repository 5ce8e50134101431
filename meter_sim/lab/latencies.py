"""How long each credit took from its acceptance to its meter, by the journal and the meters' own log."""

from contextlib import closing

from meter_sim.lab.journal import read_journal
from meter_sim.lab.run_folder import RunFolder, read_only


def read_latencies(folder: RunFolder) -> list[tuple[int, float]]:
    """(when it was accepted, seconds until the meter's counter had it), in order of acceptance.

    A meter's counter is a sum: a credit has arrived as soon as the counter covers all that was accepted up to it.
    """
    asked, accepted = {}, {}
    for line in read_journal(folder.journal):
        if line["kind"] == "recharge":
            asked[line["n"]] = line
        elif line["kind"] == "answer" and line["n"] in asked and line["outcome"] == "RECORDED":
            request = asked[line["n"]]
            accepted[request["reference"]] = line["accepted_at_s"], request["meter"], request["amount_micros"]
    counted: dict[str, list[tuple[int, int]]] = {}
    with closing(read_only(folder.fleet)) as log:
        for meter, at_s, total in log.execute(
            "SELECT m.meter, e.at_s, e.credit_total_micros FROM event AS e JOIN meter AS m USING (meter_key)"
            " WHERE e.kind = 'credit' ORDER BY e.event_id"
        ):
            counted.setdefault(meter, []).append((at_s, total))
    latencies, owed, place = [], dict.fromkeys(counted, 0), dict.fromkeys(counted, 0)
    for accepted_at_s, meter, amount_micros in sorted(accepted.values()):
        steps = counted.get(meter, [])
        owed[meter] = owed.get(meter, 0) + amount_micros
        index = place.get(meter, 0)
        while index < len(steps) and steps[index][1] < owed[meter]:
            index += 1
        place[meter] = index
        if index < len(steps):
            latencies.append((accepted_at_s, float(max(0, steps[index][0] - accepted_at_s))))
    return latencies
