"""The one exception that means "the user's input is wrong", and the exit codes of scripts.

Everything else that is raised is a defect of ours and keeps its traceback; it ends with 1.
"""

import re

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_STOPPED_EARLY = 75  # a checkpoint is saved: run the same command again
EXIT_INTERRUPTED = 130  # by Ctrl-C, as shells count it; a training that has begun saves: 75
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_OUTAGE = re.compile(r"retry attempts failed|libcurl code \d")


class InputError(ValueError):
    """A flag, file or data set breaks a rule that its user can correct.

    The message is one sentence: what, the value, the rule and the remedy. Scripts print it on
    stderr without a traceback and exit with 2 (`cli.run`). Control characters, which a hostile
    name would send to the terminal, are spelt out.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, sentence: str = ""):
        super().__init__(spelt_out(sentence))


class DivergedError(InputError):
    """A training whose flags and data are valid led to values that are not finite; exit code 1."""

    exit_code = EXIT_FAILED


def spelt_out(text: str) -> str:
    r"""A text with its control characters, but for tabs and ends of lines, as `\x1b`."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def one_line(error: BaseException) -> str:
    """What a library says of an error, for a sentence of ours: on one line, 300 letters at most."""
    return " ".join(str(error).split())[:300]


def is_outage(error: BaseException) -> bool:
    """Whether an object store that did not answer, after TensorFlow's own retries, is the cause.

    Told by what it says: TensorFlow raises a different class for each way of not answering.
    """
    cause: BaseException | None = error
    while cause and not _OUTAGE.search(str(cause)):
        cause = cause.__cause__
    return cause is not None
