"""The fleet simulator and the outage laboratory. Of the head-end it knows only the contract (`headend.wire`)."""
