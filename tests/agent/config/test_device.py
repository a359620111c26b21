from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import load
from agent.config.device import USB, USB_PORT, device
from agent.errors import ConfigError


@pytest.mark.parametrize(
    "value",
    [
        "default",
        "monitor",
        "rode",
        "hw:1,0",
        "plughw:CARD=Mic",
        "usb:046d:0825",
        "USB:046D:0825:A b:1",
        "usb-port:1-1.2",
        "usb-port:3-4",
        "1-1.2.4",
        "/dev/snd/by-path/pci-0000:00:14.0-usb-0:2:1.0",
        "usb audio",
    ],
)
def test_what_may_be_a_device(value: str) -> None:
    assert device(value) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("usb:46d:825", "four hexadecimal digits"),
        ("usb:046d", "usb:VENDOR:PRODUCT"),
        ("usb:046d:0825:", "usb:VENDOR:PRODUCT"),
        ("usb:1-1.2", "usb:VENDOR:PRODUCT"),
        ("usb-port:1.2", "a USB port like usb-port:1-1.2"),
        ("usb-port:", "list-devices"),
        ("/dev/dsp", "below /dev/snd/by-path"),
        ("/home/me/mic.wav", "a file is no sound card"),
        ("", "1 to 200 printable"),
    ],
)
def test_a_slip_of_the_pen_is_refused_with_what_is_expected(value: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        device(value)


def test_the_error_names_the_line(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("agent: {id: shed}\nsources:\n  - id: mic\n    type: alsa\n    device: usb:1-1.2\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:5.*device.*usb:VENDOR:PRODUCT"):
        load(config)


@given(st.text(max_size=60))
def test_any_text_is_a_device_or_a_value_error(value: str) -> None:
    try:
        assert device(value) == value
    except ValueError as error:
        assert str(error)
    assert not (USB.fullmatch(value) and USB_PORT.fullmatch(value))
