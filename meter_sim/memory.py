"""What the meters of a fleet remember after a restart: taken from their log into the columns."""

from meter_sim.fleet import Columns
from meter_sim.log import FleetLog


def restore_meters(columns: Columns, log: FleetLog, first_number: int) -> None:
    """Put each meter's credit counter, relay and policy back, as they were last logged."""
    for meter_key, seq, total in log.last_credits():
        columns.credit_seq[meter_key - first_number] = seq
        columns.credit_total_micros[meter_key - first_number] = total
    for meter_key, version, is_open, register, undrawn in log.last_relays():
        row = meter_key - first_number
        columns.relay_version[row] = version
        columns.relay_open[row] = is_open
        columns.undrawn_wh[row] = undrawn
        if is_open:
            columns.opened_demand_wh[row] = register - columns.opening_register_wh[row] + undrawn
    for meter_key, policy in log.last_policies():
        columns.policy_index[meter_key - first_number] = columns.index_of(policy)
