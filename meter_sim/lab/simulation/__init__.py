"""Both ends of a run in one process: the real head-end core and fleet code on virtual time, from one seed.

The one part of the laboratory that imports the head-end: to run it, never to judge it.
"""
