from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import values
from agent.config.settings import Secret
from agent.model import SampleFormat
from agent.periods import DAY_S

DIVISORS = [s for s in range(5, DAY_S + 1) if DAY_S % s == 0]
PARSERS: list[Callable[[str], object]] = [
    values.identifier,
    values.agent_identifier,
    values.duration_s,
    values.period_s,
    values.between_s(0.5, 60),
    values.off_or_up_to_s(60),
    values.whole(1, 65535),
    values.one_of("flac", "wav"),
    values.member(SampleFormat),
    values.text,
    values.topic,
    values.secret,
    values.stream_url,
    values.secret_file(Path("/nonexistent")),
]


@given(st.text(max_size=60), st.sampled_from(PARSERS))
def test_any_text_is_a_value_or_a_value_error(text: str, parse: Callable[[str], object]) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@pytest.mark.parametrize(
    "text", ["9" * 400 + "d", "9" * 5000, "9" * 400 + "s", "²m", "٣m", "1e3s", "nan s", "-5s", "\0"]
)
def test_numbers_beyond_reason_are_value_errors_too(parse: Callable[[str], object], text: str) -> None:
    try:
        result = parse(text)
    except ValueError:
        return
    assert isinstance(result, Secret) or result == text, "it is taken as a text, never as a number"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("5s", 5), ("15m", 900), ("24h", 86400), ("30d", 2_592_000), ("1.5 h", 5400), (" 2s ", 2)],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5", "5 sec", "5S", "m", "1h30m", "0x5s", "12:00", "off", ".5s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="15m"):
        values.duration_s(text)


@given(st.sampled_from(DIVISORS))
def test_every_divisor_of_the_day_is_a_period(seconds: int) -> None:
    assert values.period_s(f"{seconds}s") == seconds


@given(st.integers(0, 200_000).filter(lambda seconds: seconds not in DIVISORS))
def test_any_other_names_the_nearest_that_is_one(seconds: int) -> None:
    with pytest.raises(ValueError, match="the nearest is") as caught:
        values.period_s(f"{seconds}s")
    near = values.period_s(str(caught.value).rpartition(" ")[2])
    assert abs(near - seconds) == min(abs(other - seconds) for other in DIVISORS)


def test_a_period_that_is_no_whole_number_of_seconds() -> None:
    with pytest.raises(ValueError, match="the nearest is 5s"):
        values.period_s("5500ms")


@pytest.mark.parametrize(("text", "allowed"), [("499ms", False), ("500ms", True), ("1m", True), ("61s", False)])
def test_durations_within_limits(text: str, *, allowed: bool) -> None:
    parse = values.between_s(0.5, 60)
    if allowed:
        assert parse(text) >= 0.5
    else:
        with pytest.raises(ValueError, match="500ms to 1m are allowed"):
            parse(text)


@pytest.mark.parametrize("name", ["mic", "a", "0", "garden-shed-2", "x" * 32])
def test_ids(name: str) -> None:
    assert values.identifier(name) == name


@pytest.mark.parametrize("name", ["", "-a", "Mic", "a_b", "a/b", "a+", "#", "x" * 33, "é", "a\n", "..", "a.b"])
def test_what_is_no_id(name: str) -> None:
    with pytest.raises(ValueError, match="a-z"):
        values.identifier(name)


@pytest.mark.parametrize("name", values.RESERVED_IDS)
def test_an_agent_takes_no_brokers_user(name: str) -> None:
    with pytest.raises(ValueError, match="broker"):
        values.agent_identifier(name)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "1.0", "0x10", " 5", "1_000", "", "007x"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 65535"):
        values.whole(1, 65535)(text)


def test_leading_zeros_are_decimal() -> None:
    assert values.whole(1, 65535)("0080") == 80


def test_one_of_names_what_is_allowed_and_what_is_near() -> None:
    with pytest.raises(ValueError, match=r"allowed: flac, wav; did you mean 'flac'\?"):
        values.one_of("flac", "wav")("flca")


@pytest.mark.parametrize("topic", ["isr", "a/b/c", "A_b-3"])
def test_topics(topic: str) -> None:
    assert values.topic(topic) == topic


@pytest.mark.parametrize("topic", ["", "/a", "a/", "a//b", "a/+", "#", "$SYS", "a b", "ä", "x" * 101, "a\n"])
def test_what_is_no_topic(topic: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        values.topic(topic)


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 201, "\x7f"])
def test_what_is_no_text(text: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        values.text(text)


# --- secrets ---------------------------------------------------------------------------------------------------------


@given(st.text(min_size=4).filter(lambda text: text not in repr(Secret("x"))))
def test_a_secret_shows_itself_only_when_asked(text: str) -> None:
    secret = Secret(text)
    assert secret.reveal() == text
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert text not in shown
    assert secret == Secret(text)
    assert secret != text
    assert len({secret, Secret(text)}) == 1


def test_a_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISR_TEST_ONE", "a$b")
    monkeypatch.setenv("ISR_TEST_TWO", "${ISR_TEST_ONE}")
    assert values.secret("x${ISR_TEST_ONE}y").reveal() == "xa$by"
    assert values.secret("${ISR_TEST_TWO}").reveal() == "${ISR_TEST_ONE}", "what the environment says is taken as it is"
    assert values.secret("$ISR_TEST_ONE $ {}").reveal() == "$ISR_TEST_ONE $ {}"
    monkeypatch.delenv("ISR_TEST_ONE")
    with pytest.raises(ValueError, match="the environment has no ISR_TEST_ONE"):
        values.secret("${ISR_TEST_ONE}")


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\nmore\n"])
def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "file").write_text(content, newline="")
    assert values.secret_file(tmp_path)("file").reveal() == "s3cret"
    assert values.secret_file(Path("/"))(str(tmp_path / "file")).reveal() == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b"\nsecond", b"\xff\xfe"])
def test_a_file_without_a_secret_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=".") as caught:
        values.secret_file(tmp_path)("file")
    assert "second" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        values.secret_file(tmp_path)(name)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://host:8000/live", "http://host:8000/live"),
        ("https://user:pa55word@host/live?token=pa55word#pa55word", "https://host/live"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a"),
        ("http://pa55word@host", "http://host"),
        ("HTTP://Host/", "http://host/"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(address: str, shown: str) -> None:
    url = values.stream_url(address)
    assert url.reveal() == address
    assert values.shown_url(url) == shown


@pytest.mark.parametrize(
    "address",
    ["", "host/live", "ftp://host", "http://", "http:///x", "http://host:port/", "http://[::1", "file:///etc"],
)
def test_what_is_no_address_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        values.stream_url(address.replace("host", "hunter2"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("address", ["mms://host/x", "rtsp://host/x", "srt://host:1/x"])
def test_another_kind_of_stream_is_named_as_such(address: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be recorded; the station's http:// or https:// address is expected"):
        values.stream_url(address)


def test_blanks_around_an_address_do_no_harm_and_control_characters_are_refused() -> None:
    assert values.stream_url("  http://host/live \n").reveal() == "http://host/live"
    with pytest.raises(ValueError, match="control characters"):
        values.stream_url("http://host/li\x07ve")


def test_a_header_is_a_name_and_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISR_TEST_SECRET", "hunter2")
    assert values.header("X-Token", " ${ISR_TEST_SECRET} ") == ("X-Token", Secret("hunter2"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("X Token", "hunter2", "name of an HTTP header"),
        ("X-Token\r\nHost", "hunter2", "name of an HTTP header"),
        ("host", "hunter2", "made by the agent"),
        ("Icy-MetaData", "hunter2", "made by the agent"),
        ("X-Token", "hunter2\r\nX-More: 1", "ASCII text on one line"),
        ("X-Token", "hunter2ö", "ASCII text on one line"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_without_showing_it(name: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        values.header(name, value)
    assert "hunter2" not in str(caught.value)


def test_a_password_that_breaks_the_address_is_not_shown() -> None:
    for address in ("http://user:12/34@host/live", "http://user:pa/ss@host/live"):
        try:
            shown = values.shown_url(values.stream_url(address))
        except ValueError as error:
            shown = str(error)
        assert "user" not in shown
        assert "12" not in shown
        assert "34" not in shown
        assert "ss@" not in shown
