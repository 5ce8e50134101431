"""The fleet simulator and the outage laboratory. Knows only the contract (`headend.wire`) of the head-end."""
