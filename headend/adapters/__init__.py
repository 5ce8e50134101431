"""One technology a file, each behind a port of `headend.service.ports`."""
