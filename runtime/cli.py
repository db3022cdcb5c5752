"""What the command-line scripts share: flag parsing, exit codes and quiet start-up.

Exit codes: 0 done; 1 internal error, or a training that diverged; 2 bad usage or invalid input; 75
interrupted with a checkpoint saved, or by an object store that does not answer; 130 ended by Ctrl-C
with nothing saved.
absl exits 1 on a bad flag and on --help, so `run` brings its own parser.
"""

import contextlib
import functools
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags

from runtime import signals
from runtime.errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_STOPPED_EARLY,
    InputError,
    is_outage,
    one_line,
)
from runtime.settings import check_flags, help_text


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its start-up chatter; call before anything else imports it.

    Its C++ part writes to file descriptor 2 before any log level counts. Ctrl-C in these seconds
    ends the script without a traceback.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import tensorflow

        # One line for every reduction over replicas: hundreds where batch norm is trained.
        tensorflow.get_logger().setLevel("WARNING")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def run(main: Callable[..., int | None], *, usage: str, takes_words: bool = False) -> NoReturn:
    """Parses the flags, runs `main()` and ends the process with its code.

    The process ends without Python's own clean-up: a tf.data thread that waits for Python to read a
    record would hang it forever.

    Args:
      main: returns an exit code or None for 0. `InputError` becomes exit code 2.
      usage: first lines of `--help`; usually the script's docstring.
      takes_words: whether what is no flag is handed to `main`, instead of being refused.
    """
    signals.end_when_asked_as_first_process()
    sys.modules["__main__"].__doc__ = usage
    code: Any = 1
    try:
        parse = functools.partial(_parse, takes_words=takes_words)
        app.run(lambda words: _guarded(functools.partial(main, *words[1:])), flags_parser=parse)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
    leave(code if isinstance(code, int) else 1)


def leave(code: int) -> NoReturn:
    """Ends the process at once: nothing is destroyed, and no thread is waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _parse(argv: Sequence[str], *, takes_words: bool) -> list[str]:
    asked = {word.lstrip("-").partition("=")[0] for word in argv[1:] if word.startswith("-")}
    if asked & {"h", "?", "help", "helpshort", "helpfull"}:
        width = shutil.get_terminal_size().columns
        usage = str(sys.modules["__main__"].__doc__).strip()
        with contextlib.suppress(BrokenPipeError):  # such as of `| head`
            print(usage, help_text(full="helpfull" in asked, width=width), sep="\n", flush=True)
        sys.exit(0)
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        said = str(error).strip()
        end = "" if said.endswith((".", "?")) else "."
        _fail(f"{said}{end} Run with --help for the list of flags.")
    if len(rest) > 1 and not takes_words:
        _fail(f"Unexpected argument {rest[1]!r}: every option is a --flag=value.")
    try:
        check_flags()
    except InputError as error:
        _fail(str(error))
    return rest


def _guarded(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        if is_outage(error):
            _say(
                f"an object store does not answer ({one_line(error)}): run the same command again; "
                "a training resumes from its last checkpoint."
            )
            return EXIT_STOPPED_EARLY
        if isinstance(error, InputError):
            _fail(str(error), code=error.exit_code)
        raise


def _fail(sentence: str, *, code: int = EXIT_BAD_INPUT) -> NoReturn:
    _say(sentence)
    sys.exit(code)


def _say(sentence: str) -> None:
    sentence = " ".join(sentence.split())
    print(f"{os.path.basename(sys.argv[0])}: {sentence}", file=sys.stderr)
