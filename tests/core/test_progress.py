import io

import pytest

from rako.core.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_the_items_pass_through(stream):
    assert list(progress(range(5), total=5, label="offers", stream=stream)) == [0, 1, 2, 3, 4]


def test_a_pipe_stays_clean():
    out = io.StringIO()

    list(progress(range(1000), total=1000, label="offers", stream=out))

    assert out.getvalue() == ""


def test_standard_error_is_a_pipe_here_and_stays_clean(capsys):
    list(progress(range(10), total=10, label="offers"))

    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_a_full_bar_at_the_end():
    out = Terminal()

    list(progress(range(30), total=30, label="offers", stream=out))

    assert out.getvalue().endswith(f"\roffers [{'#' * 30}] 30/30\n")


def test_a_fast_walk_is_not_drawn_for_each_item():
    out = Terminal()

    list(progress(range(10_000), total=10_000, label="offers", stream=out))

    assert out.getvalue().count("\r") < 100


def test_nothing_to_do_is_no_error():
    out = Terminal()

    assert list(progress([], total=0, label="offers", stream=out)) == []
    assert out.getvalue() == "\n"


def test_a_wrong_total_is_no_error():
    out = Terminal()

    assert len(list(progress(range(3), total=0, label="offers", stream=out))) == 3
