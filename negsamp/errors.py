"""What ends a command or a job in one line: bad input, and work that was cut off."""

__all__ = ["InputError", "Killed"]


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message is one line: it names the file, the place in it, what was found, and what to do about it. The command
    line and the workflow print this line alone, without a traceback.
    """

    def __init__(self, message: str) -> None:
        """Join the lines that a path, a name or a library's reason may have brought."""
        super().__init__(" ".join(filter(None, message.splitlines())))


class Killed(RuntimeError):  # noqa: N818 what happened to it, no mistake of its own
    """Work whose process was cut off from outside, or for memory: no result of it, and worth another try.

    The message names the work and the signal.
    """
