"""The one exception that means "the user's input is wrong", and the exit codes of scripts.

Everything else that is raised is a defect of ours and keeps its traceback; it ends with 1.
"""

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_STOPPED_EARLY = 75  # a checkpoint is saved: run the same command again
EXIT_INTERRUPTED = 130  # by Ctrl-C, as shells count it; a training that has begun saves: 75


class InputError(ValueError):
    """A flag, file or data set breaks a rule that its user can correct.

    The message is one sentence: what, the value, the rule and the remedy. Scripts print it on
    stderr without a traceback and exit with 2 (`cli.run`).
    """

    exit_code = EXIT_BAD_INPUT


class DivergedError(InputError):
    """A training whose flags and data are valid led to values that are not finite; exit code 1."""

    exit_code = EXIT_FAILED


def one_line(error: BaseException) -> str:
    """What a library says of an error, for a sentence of ours: on one line, 300 letters at most."""
    return " ".join(str(error).split())[:300]
