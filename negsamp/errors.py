"""The one error that bad input ends in."""


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message is one line: it names the file, the place in it, what was found, and what to do about it. The command
    line and the workflow print this line alone, without a traceback.
    """
