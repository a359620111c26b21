import pytest

from agent.errors import SourceFault
from agent.sources.devices import Device, monitor, parse_cards, resolve, table

LISTING = """\
**** List of CAPTURE Hardware Devices ****
card 0: PCH [HDA Intel PCH], device 0: ALC257 Analog [ALC257 Analog]
  Subdevices: 1/1
  Subdevice #0: subdevice #0
card 2: U0x46d0x825 [USB Device 0x46d:0x825], device 0: USB Audio [USB Audio]
  Subdevices: 1/1
card 3: Loopback [Loopback], device 1: Loopback PCM [Loopback PCM]
card 10: Mic [Rode [NT] USB], device 0: USB Audio [USB Audio]
"""
DEVICES = parse_cards(LISTING)


def test_every_device_has_a_name_that_does_not_change_with_its_number() -> None:
    assert [(device.device, device.number) for device in DEVICES] == [
        ("hw:CARD=PCH,DEV=0", "hw:0,0"),
        ("hw:CARD=U0x46d0x825,DEV=0", "hw:2,0"),
        ("hw:CARD=Loopback,DEV=1", "hw:3,1"),
        ("hw:CARD=Mic,DEV=0", "hw:10,0"),
    ]
    assert DEVICES[0].name == "HDA Intel PCH, ALC257 Analog"
    assert DEVICES[3].name == "Rode [NT] USB, USB Audio"
    assert parse_cards("arecord: device_list:276: no soundcards found...\n") == []


@pytest.mark.parametrize("wanted", ["default", "hw:1,0", "plughw:CARD=Mic", "pulse", "dsnoop:x"])
def test_names_that_stand_for_themselves(wanted: str) -> None:
    assert resolve(wanted, [], ["pulse"]) == wanted


@pytest.mark.parametrize(
    ("wanted", "device"),
    [
        ("pch", "hw:CARD=PCH,DEV=0"),
        ("rode", "hw:CARD=Mic,DEV=0"),
        ("MIC", "hw:CARD=Mic,DEV=0"),
        ("0x46d:0x825".partition(":")[2], "hw:CARD=U0x46d0x825,DEV=0"),
        ("loopback", "hw:CARD=Loopback,DEV=1"),
    ],
)
def test_a_part_of_a_name_whatever_its_case(wanted: str, device: str) -> None:
    assert resolve(wanted, DEVICES, []) == device


def test_the_whole_name_is_better_than_a_part_of_another() -> None:
    devices = [Device("hw:CARD=Mic,DEV=0", "A", "Mic", "hw:0,0"), Device("hw:CARD=Mic2,DEV=0", "B", "Mic2", "hw:1,0")]
    assert resolve("mic", devices, []) == "hw:CARD=Mic,DEV=0"


def test_what_fits_none_or_several_is_a_fault_that_says_what_there_is() -> None:
    with pytest.raises(SourceFault, match="no sound card is called 'attic'") as missing:
        resolve("attic", DEVICES, [])
    assert missing.value.retry_within_s == 1.0
    assert "hw:CARD=PCH,DEV=0" in missing.value.message
    with pytest.raises(SourceFault, match="fits 2 devices") as several:
        resolve("usb audio", DEVICES, [])
    assert "PCH" not in several.value.message, "only those that fit are named"
    with pytest.raises(SourceFault, match="no sound card at all"):
        resolve("attic", [], [])


def test_a_playback_is_heard_through_the_loopback_card_or_the_sound_server() -> None:
    assert monitor(DEVICES, ["pulse"]) == "plughw:CARD=Loopback,DEV=1"
    assert monitor(DEVICES[:2], ["null", "pulse"]) == "pulse:@DEFAULT_MONITOR@"
    with pytest.raises(SourceFault, match="nothing on this box lets a playback be recorded") as fault:
        monitor(DEVICES[:2], ["null"])
    assert "snd-aloop" in str(fault.value.hint)


def test_the_table_begins_with_the_name_that_stays() -> None:
    devices = [
        Device("hw:CARD=PCH,DEV=0", "HDA Intel", "PCH", "hw:0,0"),
        Device("hw:CARD=Mic,DEV=0", "Mic", "Mic", "hw:1,0", usb="usb:046d:0825:A1", port="usb-port:1-1.2"),
        Device("hw:CARD=Mic_1,DEV=0", "Mic", "Mic_1", "hw:2,0", port="usb-port:1-1.4"),
    ]
    assert table(devices).splitlines() == [
        "DEVICE             NAME       USB PORT        ALSA NAME",
        "hw:CARD=PCH,DEV=0  HDA Intel  -               hw:CARD=PCH,DEV=0",
        "usb:046d:0825:A1   Mic        usb-port:1-1.2  hw:CARD=Mic,DEV=0",
        "usb-port:1-1.4     Mic        usb-port:1-1.4  hw:CARD=Mic_1,DEV=0",
    ]
