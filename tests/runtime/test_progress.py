"""Progress on a pipe, read line by line, and on a terminal, read back from the stream."""

import io
import re

import pytest

from runtime.progress import Progress, format_seconds


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pipe():
    return io.StringIO()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def lines(stream):
    return stream.getvalue().splitlines()


def steps_shown(stream):
    return [int(line.split()[1].split("/")[0]) for line in lines(stream)]


def test_plain_lines_come_every_so_many_steps(pipe, clock):
    with Progress(25, "training", log_every=10, stream=pipe, clock=clock) as progress:
        for step in range(1, 26):
            progress.update(step)
    assert steps_shown(pipe) == [1, 10, 20, 25]


def test_plain_line_says_everything(pipe, clock):
    with Progress(200, "training", log_every=100, stream=pipe, clock=clock) as progress:
        progress.update(1, loss=9.0)
        clock.now += 99.0
        progress.update(100, loss=1.23456, learning_rate=0.001, images_per_second=33.333)
    assert lines(pipe)[1] == (
        "training 100/200 steps  loss 1.235  rate 1.00e-03  33.3 images/s  1 min 40 s left"
    )


def test_silence_on_a_pipe_has_a_limit(pipe, clock):
    with Progress(
        1000, "training", log_every=100, log_seconds=30.0, stream=pipe, clock=clock
    ) as progress:
        for step in range(1, 8):
            progress.update(step)
            clock.now += 20.0
    assert steps_shown(pipe) == [1, 3, 5, 7]


def test_lines_by_steps_alone(pipe, clock):
    with Progress(
        50, "training", log_every=20, log_seconds=None, stream=pipe, clock=clock
    ) as progress:
        for step in range(1, 51):
            progress.update(step)
            clock.now += 1000.0
    assert steps_shown(pipe) == [1, 20, 40, 50]


def test_last_step_is_shown_when_the_work_stops_early(pipe, clock):
    def work():
        with Progress(100, "training", log_every=10, stream=pipe, clock=clock) as progress:
            for step in range(1, 14):
                progress.update(step)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps_shown(pipe) == [1, 10, 13]


def test_work_without_an_update_prints_nothing(pipe, clock):
    with Progress(100, "training", stream=pipe, clock=clock):
        clock.now += 1000.0
    assert pipe.getvalue() == ""


def test_values_stay_until_they_are_replaced(pipe, clock):
    with Progress(3, "training", log_every=1, stream=pipe, clock=clock) as progress:
        progress.update(1, loss=4.0, state="warm")
        progress.update(2)
        progress.update(3, loss=2.0)
    assert [line.split("  ")[1:3] for line in lines(pipe)] == [
        ["loss 4", "state warm"],
        ["loss 4", "state warm"],
        ["loss 2", "state warm"],
    ]


def test_time_left_goes_by_the_steps_after_the_first(pipe, clock):
    with Progress(900, "training", start=700, log_every=1, stream=pipe, clock=clock) as progress:
        clock.now += 60.0  # tracing
        progress.update(701)
        clock.now += 10.0
        progress.update(706)
        progress.update(900)
    assert lines(pipe) == [
        "training 701/900 steps",
        "training 706/900 steps  6 min 28 s left",  # 2 s a step
        "training 900/900 steps",
    ]


def test_time_left_of_slow_steps_is_known(pipe, clock):
    with Progress(20, "training", log_every=1, stream=pipe, clock=clock) as progress:
        for step in (1, 2, 3):
            clock.now += 600.0
            progress.update(step)
    assert lines(pipe)[-1] == "training 3/20 steps  2 h 50 min left"


def test_unknown_total_has_no_time_left(pipe, clock):
    with Progress(None, "detecting", unit="frames", stream=pipe, clock=clock) as progress:
        progress.update(1)
        clock.now += 31.0
        progress.update(8, images_per_second=7.0)
    assert lines(pipe) == ["detecting 1 frames", "detecting 8 frames  7.0 images/s"]


def test_message_is_a_line_of_its_own(pipe, clock):
    with Progress(10, "training", stream=pipe, clock=clock) as progress:
        progress.message("saved [bold]ckpt-5[/bold]")
    assert lines(pipe) == ["saved [bold]ckpt-5[/bold]"]


def test_terminal_shows_a_bar(terminal):
    with Progress(40, "training", log_every=1, stream=terminal) as progress:
        for step in range(1, 41):
            progress.update(step, loss=0.5, learning_rate=0.01, images_per_second=12.0)
    text = terminal.getvalue()
    assert "━" in text
    assert "40/40 steps" in text
    assert "loss 0.5  rate 1.00e-02  12.0 images/s" in text
    assert "training 10/40 steps  " not in text


def test_everything_has_room_in_80_columns(terminal, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with Progress(120_000, "training", stream=terminal, clock=clock) as progress:
        for step in (98_000, 98_010):
            clock.now += 7.0
            progress.update(step, loss=1.23456, learning_rate=0.001, images_per_second=33.333)
    assert re.search(
        "training .*━.* 98010/120000 steps .*4:16:33.* loss 1.235  rate 1.00e-03  33.3 images/s",
        terminal.getvalue(),
    )


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ("150", "loss 1.235  rate 1.00e-03  33.3 images/s"),
        ("80", "loss 1.235  rate 1.00e-03  33.3 images/s"),
        ("79", "loss 1.235  rate 1.00e-03"),
        ("60", "loss 1.235"),
        ("45", ""),
    ],
)
def test_values_without_room_are_dropped_whole_the_last_one_first(
    columns, shown, terminal, clock, monkeypatch
):
    monkeypatch.setenv("COLUMNS", columns)
    with Progress(120_000, "training", stream=terminal, clock=clock) as progress:
        for step in (98_000, 98_010):
            clock.now += 7.0
            progress.update(step, loss=1.23456, learning_rate=0.001, images_per_second=33.333)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.getvalue()).rstrip()
    last = text.splitlines()[-1].rstrip()
    assert "…" not in last
    assert re.search(rf"^training .*━.* 98010/120000 steps 4:16:33 ?{re.escape(shown)}$", last)


def test_terminal_shows_a_bar_without_a_total(terminal):
    with Progress(None, "detecting", unit="frames", stream=terminal) as progress:
        progress.update(12, images_per_second=3.0)
    assert "12 frames" in terminal.getvalue()


def test_message_on_a_terminal_is_printed_as_it_is(terminal):
    with Progress(10, "training", stream=terminal) as progress:
        progress.update(1)
        progress.message("saved [bold]ckpt-5[/bold] " + "x" * 200)
    assert "saved [bold]ckpt-5[/bold] " + "x" * 200 in terminal.getvalue()


def test_stdout_stays_with_its_reader(terminal, capsys):
    with Progress(10, "training", stream=terminal) as progress:
        progress.update(1)
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in terminal.getvalue()


def test_dumb_terminal_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with Progress(2, "training", stream=terminal) as progress:
        progress.update(2)
    assert terminal.getvalue() == "training 2/2 steps\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0 s"),
        (0.4, "0 s"),
        (42.4, "42 s"),
        (59.6, "1 min 0 s"),
        (185.0, "3 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7620.0, "2 h 7 min"),
        (24 * 3600.0 - 1, "1 d 0 h"),
        (28 * 3600.0, "1 d 4 h"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds, text):
    assert format_seconds(seconds) == text
