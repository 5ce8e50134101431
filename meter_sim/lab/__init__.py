"""The outage laboratory: runs that break things on purpose and judge what happened."""
