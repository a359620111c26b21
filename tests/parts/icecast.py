"""A real icecast2, fed by a real ffmpeg with a live MP3 stream of which no two frames are alike."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import random
import signal
import tempfile
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.parts.capture import RawCapture
from tests.parts.http_stub import HttpStub
from tests.parts.process import Part, free_port

__all__ = ["HttpStub", "Icecast", "RawCapture"]

CODECS = {
    "mp3": (["-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"], "audio/mpeg"),
    "aac": (["-c:a", "aac", "-f", "adts"], "audio/aac"),
    "vorbis": (["-c:a", "libvorbis", "-f", "ogg"], "application/ogg"),
    "opus": (["-c:a", "libopus", "-f", "ogg"], "application/ogg"),
    "oggflac": (["-c:a", "flac", "-f", "ogg"], "application/ogg"),
    "flac": (["-c:a", "flac", "-f", "flac"], "audio/flac"),
}
"""What ffmpeg is told for each kind of stream, and the content type by which icecast knows what it is."""

_STARTS = 3
_CONFIG = """<icecast>
  <location>test</location>
  <admin>test@localhost</admin>
  <hostname>localhost</hostname>
  <limits>
    <clients>50</clients>
    <sources>20</sources>
    <queue-size>1048576</queue-size>
    <client-timeout>30</client-timeout>
    <header-timeout>15</header-timeout>
    <source-timeout>10</source-timeout>
    <burst-on-connect>{burst_on}</burst-on-connect>
    <burst-size>{burst}</burst-size>
  </limits>
  <authentication>
    <source-password>{password}</source-password>
    <relay-password>{password}</relay-password>
    <admin-user>admin</admin-user>
    <admin-password>{password}</admin-password>
  </authentication>
  <listen-socket>
    <port>{port}</port>
    <bind-address>127.0.0.1</bind-address>
  </listen-socket>
  <fileserve>0</fileserve>
  {mount}
  <paths>
    <basedir>/usr/share/icecast2</basedir>
    <webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot>
    <logdir>/tmp</logdir>
  </paths>
  <logging>
    <accesslog>-</accesslog>
    <errorlog>-</errorlog>
    <playlistlog>-</playlistlog>
    <loglevel>3</loglevel>
  </logging>
  <security><chroot>0</chroot></security>
</icecast>
"""
_PRIVATE = """<mount type="normal">
    <mount-name>/private.mp3</mount-name>
    <authentication type="htpasswd"><option name="filename" value="{file}"/></authentication>
  </mount>"""


def _users_file(listeners: Mapping[str, str]) -> Path:
    """Icecast's own user file, where its user can read it."""
    lines = [f"{user}:{hashlib.md5(word.encode()).hexdigest()}\n" for user, word in listeners.items()]
    handle, name = tempfile.mkstemp(prefix="icecast-users-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(lines)
    path = Path(name)
    path.chmod(0o644)
    return path


class Icecast:
    """icecast2 on a loopback port.

    It refuses to run as root, so as root it is started as its own Debian user. That user cannot look into
    pytest's folders (mode 0700); therefore the configuration comes through stdin and the log goes to stderr.
    Titles of MP3 mounts go out in ISO 8859-1, whatever they came in, unless `charset` says otherwise.
    `/private.mp3` asks its listeners for a name and password of `listeners`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        burst_bytes: int = 65535,
        charset: str | None = None,
        port: int | None = None,
        listeners: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.password = "icecast-test"
        config = folder / "icecast.xml"
        mount = f'<mount type="default"><charset>{charset}</charset></mount>' if charset else ""
        self._users: Path | None = None
        if listeners:
            self._users = _users_file(listeners)
            mount += _PRIVATE.format(file=self._users)
        config.write_text(
            _CONFIG.format(
                port=self.port,
                burst=burst_bytes,
                burst_on=int(burst_bytes > 0),
                password=self.password,
                mount=mount,
            )
        )
        self._feeds: list[Part] = []
        self.part = Part(
            ["icecast2", "-c", "-"],
            package="icecast2",
            log=folder / "icecast.log",
            ready=self._is_ready,
            stdin=config,
            user_group=("icecast2", "icecast") if os.geteuid() == 0 else None,
        )

    def start(self) -> Self:
        """Start the server and return once it serves requests.

        icecast2 2.4.4 now and then dies of SIGSEGV while it starts; that is no finding, so it gets another try.
        """
        for _ in range(_STARTS - 1):
            try:
                self.part.start()
            except AssertionError as error:
                if f"ended with -{signal.SIGSEGV:d} " not in str(error):
                    raise
            else:
                return self
        self.part.start()
        return self

    def stop(self) -> None:
        """Stop the server, which cuts off its listeners, and then what is left of its feeds."""
        self.part.stop()
        for feed in self._feeds:
            feed.stop()
        if self._users is not None:
            self._users.unlink(missing_ok=True)

    def restart(self) -> Self:
        """Stop and start on the same port. Its feeds end with it: `start()` them again afterwards."""
        self.stop()
        return self.start()

    def url(self, mount: str) -> str:
        """Return the address at which a listener finds this mount, for instance `/live.mp3`."""
        return f"http://127.0.0.1:{self.port}{mount}"

    def has_mount(self, mount: str) -> bool:
        """Tell whether a source feeds this mount now."""
        return f'mount="{mount}"' in self._admin("/admin/listmounts")

    def listeners(self, mount: str) -> int:
        """Return how many listeners icecast counts on a mount (0 if there is no such mount)."""
        _, _, entry = self._admin("/admin/listmounts").partition(f'mount="{mount}"')
        _, _, count = entry.partition("<listeners>")
        return int(count.split("<", 1)[0] or 0)

    def feed_mp3(
        self,
        mount: str,
        *,
        bitrate: str = "128k",
        sample_rate: int = 44100,
        channels: int = 2,
        title: str | None = None,
        silent: bool = False,
        encoder_options: Sequence[str] = (),
    ) -> Part:
        """Feed a mount with MP3; `encoder_options` come last and win (`["-q:a", "4"]` makes it VBR)."""
        options = ["-b:a", bitrate, *encoder_options]
        return self.feed(
            mount, "mp3", sample_rate=sample_rate, channels=channels, title=title, silent=silent, options=options
        )

    def feed(
        self,
        mount: str,
        codec: str,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        title: str | None = None,
        silent: bool = False,
        options: Sequence[str] = (),
    ) -> Part:
        """Feed a mount from a real ffmpeg in real time; return once icecast has the mount. `codec` is one of CODECS.

        The signal is a wandering tone plus noise from a seed of its own, so no two frames are alike, not
        even those of two feeds one after the other: a test can find each frame of a recording in the stream.
        ID3 tag and Xing frame are left out, as a radio's encoder would. With `silent` it is digital silence, of which
        all frames are alike. A feed that lost its server is brought back by `start()`.
        """
        encoder, content_type = CODECS[codec]
        seed = random.randrange(1, 2**31)
        tones = (
            f"aevalsrc=0.3*sin(2*PI*600*t+200*sin(2*PI*0.31*t)):s={sample_rate}[tone];"
            f"anoisesrc=r={sample_rate}:c=pink:a=0.25:seed={seed}[noise];"
            f"[tone][noise]amix=inputs=2:normalize=0"
        )
        if silent:
            tones = f"anullsrc=r={sample_rate}"
        argv = ["ffmpeg", "-nostdin", "-v", "warning", "-re", "-f", "lavfi", "-i", tones]
        argv += ["-ac", str(channels), "-ar", str(sample_rate), *options, *encoder, "-content_type", content_type]
        argv += [f"icecast://source:{self.password}@127.0.0.1:{self.port}{mount}"]
        feed = Part(
            argv,
            package="ffmpeg",
            log=self.folder / f"feed-{len(self._feeds)}.log",
            ready=self._mount_opened(mount, title),
            name=f"the feed of {mount}",
        )
        self._feeds.append(feed)
        return feed.start()

    def set_title(self, mount: str, text: str) -> None:
        """Set the title that listeners with Icy-MetaData get, as a studio does: through the admin interface."""
        query = urllib.parse.urlencode({"mount": mount, "mode": "updinfo", "charset": "UTF-8", "song": text})
        answer = self._admin(f"/admin/metadata?{query}")
        if "Metadata update successful" not in answer:
            raise AssertionError(f"icecast did not take the title: {answer}")

    def _mount_opened(self, mount: str, title: str | None) -> Callable[[], bool]:
        def opened() -> bool:
            if not self.has_mount(mount):
                return False
            if title is not None:
                self.set_title(mount, title)
            return True

        return opened

    def _admin(self, path: str) -> str:
        login = base64.b64encode(f"admin:{self.password}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Basic {login}"})
            return connection.getresponse().read().decode("utf-8", errors="replace")
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        try:
            return "<icestats" in self._admin("/admin/listmounts")
        except (OSError, http.client.HTTPException):
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
