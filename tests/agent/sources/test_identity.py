"""Two microphones of one model are never taken for one another, whatever numbers and names they get."""

from itertools import permutations
from pathlib import Path

import pytest

from agent.errors import SourceFault
from agent.sources.access import obstacle
from agent.sources.devices import Device, find, with_identities
from agent.sources.identity import card_of, port_name, usb_name
from agent.sources.sysfs import SoundTree, open_error
from tests.parts.scripted_card import FakeCard, ScriptedCards, Usb

FRONT, BACK = Usb(serial="A1", port="1-1.2"), Usb(serial="B2", port="1-1.4")
PLAIN = Usb(vendor="0d8c", product="0014", serial=None, port="3-2")


@pytest.fixture
def rig(tmp_path: Path) -> ScriptedCards:
    return ScriptedCards(tmp_path / "cards", cards=())


def test_the_tree_of_a_kernel_is_read(rig: ScriptedCards) -> None:
    rig.plug(FakeCard(0, "PCH", "HDA Intel"), FakeCard(2, "Mic", "Model X", FRONT))
    pci, mic = rig.tree.cards()
    assert (pci.number, pci.id, pci.captures, pci.usb) == (0, "PCH", (0,), None)
    assert mic.pcm == "hw:CARD=Mic,DEV=0"
    assert mic.usb is not None
    assert (mic.usb.vendor, mic.usb.product, mic.usb.serial) == ("046d", "0825", "A1")
    assert (mic.usb.port, mic.usb.name) == ("1-1.2", "Model X"), "the microphone, not the hub that it hangs on"


def test_no_sound_driver_and_a_card_without_capture_are_no_cards(rig: ScriptedCards, tmp_path: Path) -> None:
    assert SoundTree(tmp_path / "nowhere", tmp_path).cards() == []
    rig.plug(FakeCard(0, "HDMI"))
    (rig.tree.sys / "card0" / "pcmC0D0c").rmdir()
    assert rig.tree.cards() == []


@pytest.mark.parametrize("wanted", ["usb:046d:0825:A1", "USB:046D:0825:A1", "usb-port:1-1.2", "1-1.2"])
def test_by_serial_and_by_port_it_is_the_same_card_in_every_order(rig: ScriptedCards, wanted: str) -> None:
    for numbers in permutations((1, 2, 5), 3):
        for names in permutations(("Mic", "Mic_1")):
            rig.plug(
                FakeCard(numbers[0], names[0], usb=FRONT),
                FakeCard(numbers[1], names[1], usb=BACK),
                FakeCard(numbers[2], "Device", usb=PLAIN),
            )
            assert find(wanted, rig.tree) == f"hw:CARD={names[0]},DEV=0"
    rig.plug(FakeCard(1, "Mic", usb=BACK))
    with pytest.raises(SourceFault, match="there is no sound card"):
        find(wanted, rig.tree)


def test_a_card_that_moves_to_another_port_is_found_by_its_serial_alone(rig: ScriptedCards) -> None:
    rig.plug(FakeCard(1, "Mic", usb=FRONT._replace(port="2-4")))
    assert find("usb:046d:0825:A1", rig.tree) == "hw:CARD=Mic,DEV=0"
    with pytest.raises(SourceFault, match=r"no sound card in the USB port 'usb-port:1-1.2'.*in usb-port:2-4"):
        find("usb-port:1-1.2", rig.tree)


def test_an_ambiguous_identity_names_each_card_with_its_port(rig: ScriptedCards) -> None:
    rig.plug(FakeCard(1, "Mic", usb=FRONT), FakeCard(2, "Mic_1", usb=BACK))
    with pytest.raises(SourceFault, match="fits 2 sound cards") as fault:
        find("usb:046d:0825", rig.tree)
    assert "usb-port:1-1.2 (usb:046d:0825, serial A1)" in fault.value.message
    assert "usb-port:1-1.4 (usb:046d:0825, serial B2)" in fault.value.message
    assert "usb-port:" in str(fault.value.hint)
    assert fault.value.permanent


def test_a_list_gives_each_card_the_names_that_stay(rig: ScriptedCards) -> None:
    twin = Usb(serial=None, port="1-1.1")
    rig.plug(
        FakeCard(0, "PCH"),
        FakeCard(1, "Mic", usb=FRONT),
        FakeCard(2, "Twin", usb=twin),
        FakeCard(3, "Twin_1", usb=PLAIN._replace(vendor="046d", product="0825", port="1-1.3")),
    )
    cards = rig.tree.cards()
    assert [usb_name(card, cards) for card in cards] == [None, "usb:046d:0825:A1", None, None]
    assert [port_name(card) for card in cards] == [None, *(f"usb-port:{port}" for port in ("1-1.2", "1-1.1", "1-1.3"))]
    for card in cards[1:]:
        assert card_of(str(port_name(card)), cards) is card
    devices = with_identities([Device("hw:CARD=Mic,DEV=0", "Mic", "Mic", "hw:1,0")], cards)
    assert (devices[0].usb, devices[0].port) == ("usb:046d:0825:A1", "usb-port:1-1.2")


def test_the_links_of_udev_are_followed(rig: ScriptedCards) -> None:
    rig.plug(FakeCard(1, "Mic", usb=FRONT), FakeCard(2, "Mic_1", usb=BACK))
    links = rig.tree.dev.parent / "links"
    links.mkdir()
    tree = SoundTree(rig.tree.sys, links)
    (links / "controlC2").touch()
    (links / "by-path").mkdir()
    (links / "by-path" / "pci-0000:00:14.0-usb-0:1.4:1.0").symlink_to("../controlC2")
    name = "/dev/snd/by-path/pci-0000:00:14.0-usb-0:1.4:1.0"
    assert find(name, tree) == "hw:CARD=Mic_1,DEV=0"
    with pytest.raises(SourceFault, match="no sound card is at /dev/snd/by-path/other"):
        find("/dev/snd/by-path/other", tree)


def test_what_is_in_the_way_of_the_cards_is_told(rig: ScriptedCards) -> None:
    def seen_through(error: int | None) -> str:
        wall = obstacle(SoundTree(rig.tree.sys, rig.tree.dev, lambda _: error))
        return wall.message if wall else ""

    assert seen_through(13) == "", "there is no card"
    rig.plug(FakeCard(1, "Mic", usb=FRONT), FakeCard(2, "Mic_1", usb=BACK))
    assert seen_through(None) == ""
    assert seen_through(13) == "this user may not use the sound cards"
    assert seen_through(1) == "this container may not use the sound cards"
    assert "the box has 2 sound cards, but" in seen_through(2)


def test_whether_a_device_can_be_opened_is_tried(tmp_path: Path) -> None:
    assert open_error(Path("/dev/null")) is None
    assert open_error(tmp_path / "controlC0") == 2


def test_a_user_who_is_not_in_the_group_is_not_told_that_there_is_no_card(
    rig: ScriptedCards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", rig.env["PATH"])
    rig.plug(FakeCard(1, "Mic", usb=FRONT))
    assert find("usb mic", rig.tree) == "hw:CARD=Mic,DEV=0"
    rig.change(allowed=False)
    with pytest.raises(SourceFault, match="this user may not use the sound cards") as fault:
        find("usb mic", rig.tree)
    assert "group audio" in str(fault.value.hint)
