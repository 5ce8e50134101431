"""The laboratory: runs the real programs as processes, breaks them, and judges what happened from data alone."""
