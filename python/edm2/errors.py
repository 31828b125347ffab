"""What edm2 raises. Ctrl-C in the middle of long work is KeyboardInterrupt, a torch that does not fit ImportError."""


class Error(RuntimeError):
    """Something that you can mend: one sentence that says what went wrong, where, and what to do."""


class UsageError(Error, ValueError):
    """A wrong option, argument, or shape."""
