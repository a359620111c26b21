"""The service as a whole: its endpoints, its errors, what it keeps to itself, its command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.archive.support import ROOT, START, Recordings, Served, serving, source, write_config
from tests.parts.process import free_port

FIELDS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def test_files_and_status(served: Served, recordings: Recordings) -> None:
    assert served.get("/api/files").json() == []
    assert served.get("/api/status").json() == {"active": []}
    assert served.get("/api/v1/status").json() == {"running": False, "age_s": None}
    done = recordings.finished(5)
    writer = recordings.opened(5, source="radio")
    recordings.status(source("radio", writer=writer))
    assert writer.open_segment is not None
    answer = served.get("/api/files")
    assert {entry["name"]: entry["recording"] for entry in answer.json()} == {
        done.segment.file: False,
        writer.open_segment.file: True,
    }
    assert served.get("/api/files", If_None_Match=answer.headers["ETag"]).status_code == 304
    assert len(served.get("/api/files?limit=1").json()) == 1
    assert served.get("/api/status").json() == {"active": [writer.open_segment.file]}
    status = served.get("/api/v1/status").json()
    assert status["running"] is True
    assert 0 <= status["age_s"] < 5
    assert status["sources"][0]["open_segment"]["samples_safe"] == writer.open_segment.samples_safe
    recordings.status(source("radio", writer=writer), age_s=6)
    assert served.get("/api/status").json() == {"active": []}
    stale = served.get("/api/v1/status").json()
    assert stale["running"] is False
    assert stale["active"] == [writer.open_segment.file]


def test_health_is_honest(served: Served, recordings: Recordings) -> None:
    assert served.get("/healthz").json() == {"ok": True, "agent": "not running"}
    recordings.status(source(state="stopped"))
    assert served.get("/healthz").json() == {"ok": True, "agent": "running"}
    recordings.folder.rename(recordings.folder.with_name("elsewhere"))
    for path in ("/healthz", "/api/files", "/api/status", "/api/v1/status"):
        answer = served.get(path)
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == "The recordings folder cannot be read."
        assert str(recordings.folder.parent) not in answer.text
    assert served.get("/healthz").json()["ok"] is False
    recordings.folder.with_name("elsewhere").rename(recordings.folder)
    assert served.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nowhere", 404, "nothing"),
        ("GET", "/api", 404, "nothing"),
        ("GET", "/api/files/", 404, "nothing"),
        ("GET", "/stream/none.wav", 404, "no recording"),
        ("GET", "/static/none.js", 404, "no file"),
        ("POST", "/api/files", 405, "GET, HEAD"),
        ("PUT", "/stream/x.wav", 405, "GET, HEAD"),
        ("DELETE", "/", 405, "GET, HEAD"),
        ("OPTIONS", "/healthz", 405, "GET, HEAD"),
        ("GET", "/api/files?limt=3", 400, "limt"),
        ("GET", "/api/files?limit=0", 400, "limit"),
        ("GET", "/api/files?limit=10001", 400, "limit"),
        ("GET", "/api/files?limit=1&limit=2", 400, "twice"),
        ("GET", "/api/status?x=1", 400, "'x'"),
        ("GET", "/api/v1/status?x=1", 400, "'x'"),
        ("GET", "/healthz?x=1", 400, "'x'"),
        ("GET", "/stream/x.wav?lenn=3", 400, "lenn"),
        ("GET", "/stream/x.wav?len=abc", 400, "len"),
    ],
)
def test_errors_are_problems(shared: Served, method: str, path: str, status: int, detail: str) -> None:
    answer = shared.get(path, method)
    for name, value in FIELDS.items():
        assert answer.headers[name] == value
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) >= {"type", "title", "status", "detail", "instance"}
    assert (problem["status"], problem["instance"]) == (status, path.partition("?")[0])
    assert detail in problem["detail"]
    if status == 405:
        assert answer.headers["Allow"] == "GET, HEAD"


TRAVERSALS = [
    b"/stream/../secret.wav",
    b"/stream/../../secret.wav",
    b"/stream/mic/../../secret.wav",
    b"/stream/..%2fsecret.wav",
    b"/stream/..%2Fsecret.wav",
    b"/stream/%2e%2e/secret.wav",
    b"/stream/%2e%2e%2fsecret.wav",
    b"/stream/%252e%252e/secret.wav",
    b"/stream/%252e%252e%252fsecret.wav",
    b"/stream/%25252e%25252e%25252fsecret.wav",
    b"/stream/..\\secret.wav",
    b"/stream/..%5csecret.wav",
    b"/stream/..%255csecret.wav",
    b"/stream/%c0%ae%c0%ae/secret.wav",
    b"/stream/%c0%ae%c0%ae%c0%afsecret.wav",
    b"/stream/%uff0e%uff0e/secret.wav",
    b"/stream/%ef%bc%8e%ef%bc%8e/secret.wav",
    b"/stream//etc/passwd",
    b"/stream//etc/passwd.wav",
    b"/stream/%2fetc%2fpasswd",
    b"/stream//host/share/x.wav",
    b"/stream/C:\\x.wav",
    b"/stream/C:%5cx.wav",
    b"/stream/%5c%5c%3f%5cC:%5cx.wav",
    b"/stream/../rec_evil/secret.wav",
    b"/stream/ok.wav%00",
    b"/stream/ok.wav%00.wav",
    b"/stream/ok%00.wav",
    b"/stream/ok.wav%2500",
    b"/stream/ok.wav%0d%0aX:%20y",
    b"/stream/ok.wav.",
    b"/stream/ok.wav%20",
    b"/stream/ok.wav/",
    b"/stream/./ok.wav",
    b"/stream/mic//ok.wav",
    b"/stream/",
    b"/stream",
    b"/stream/" + b"x" * 5000 + b".wav",
    b"/stream/" + b"x/" * 3000 + b"ok.wav",
    b"/stream/" + b"%2e" * 4000,
    b"/stream/.state/secret.wav",
    b"/stream/%2estate/secret.wav",
    b"/stream/status.json",
    b"/stream/mic/gaps.jsonl",
    b"/stream/ok.json",
    b"/stream/linked.wav",
    b"/stream/linked/secret.wav",
    b"/stream/inner-link/ok.wav",
    b"/stream/fifo.wav",
    b"/stream/socket.wav",
    b"/stream/folder.wav",
    b"/stream/ok.wav/x.wav",
    b"/%73tream/ok.wav",
    b"/download/../secret.wav",
    b"/download/%2e%2e/secret.wav",
    b"/static/../__main__.py",
    b"/static/..%2f__main__.py",
    b"/static/%2e%2e/__main__.py",
    b"/static/.%2e%2f.%2e/pyproject.toml",
    b"/../../etc/passwd",
    b"http://127.0.0.1/stream/../secret.wav",
]


def test_nothing_outside_is_served(tmp_path: Path, recordings: Recordings, served: Served) -> None:
    folder, secret = recordings.folder, b"SECRET" * 100
    for outside in (tmp_path, tmp_path / "rec_evil", folder / ".state"):
        outside.mkdir(exist_ok=True)
        (outside / "secret.wav").write_bytes(secret)
    (folder / "mic").mkdir()
    (folder / "ok.wav").write_bytes(b"fine")
    (folder / "ok.json").write_bytes(secret)
    (folder / "status.json").write_bytes(secret)
    (folder / "mic" / "gaps.jsonl").write_bytes(secret)
    (folder / "linked.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "inner-link").symlink_to(folder)
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "fifo.wav")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket.wav"))
        for target in TRAVERSALS:
            for method in (b"GET", b"HEAD"):
                status, fields, body = served.raw(
                    method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                assert status == 404, target
                assert b"SECRET" not in body, target
                assert str(tmp_path).encode() not in body, target
                assert fields["x-content-type-options"] == "nosniff"
    assert served.get("/stream/ok.wav").content == b"fine"
    assert [entry["name"] for entry in served.get("/api/files").json()] == ["ok.wav"]


def test_a_link_put_in_the_way_is_not_followed(tmp_path: Path, recordings: Recordings, served: Served) -> None:
    done = recordings.finished(1)
    address = f"/stream/{done.segment.file}"
    assert served.get(address).status_code == 200
    (recordings.folder / "mic").rename(tmp_path / "moved")
    (recordings.folder / "mic").symlink_to(tmp_path / "moved")
    assert served.get(address).status_code == 404
    assert served.get("/api/files").json() == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"127.0.0.1", 200),
        (b"192.168.1.2:8080", 200),
        (b"[::1]:8080", 200),
        (b"localhost:1", 200),
        (socket.gethostname().encode(), 200),
        (socket.gethostname().partition(".")[0].encode() + b".local:8080", 200),
        (b"evil.example", 421),
        (b"127.0.0.1.evil.example", 421),
        (b"localhost@evil.example", 400),
        (b"evil example", 400),
        (b"", 400),
    ],
)
def test_only_who_knows_our_name(shared: Served, host: bytes, status: int) -> None:
    for target in (b"/api/status", b"/healthz", b"/stream/x.wav", b"/"):
        found, fields, _ = shared.raw(
            b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        )
        assert found == (404 if status == 200 and b"x.wav" in target else status)
        if found not in (200, 404):
            assert fields["content-type"] == "application/problem+json"
            assert fields["content-security-policy"] == FIELDS["content-security-policy"]
    assert shared.raw(b"GET /api/status HTTP/1.0\r\n\r\n")[0] == 200


def test_hostile_names_and_titles_come_back_as_data(served: Served, recordings: Recordings) -> None:
    for name in (
        '"><img src=x onerror=alert(1)>.wav',
        "a;b'c.wav",
        "\u202egpj.wav",
        "é́.wav",
        "😀.mp3",
        "x" * 251 + ".wav",
    ):
        (recordings.folder / name).write_bytes(b"x")
    entries = served.get("/api/files").json()
    assert len(entries) == 6
    for entry in entries:
        answer = served.get("/download/" + quote(entry["name"], safe=""))
        assert answer.content == b"x"
        assert answer.headers["Content-Disposition"].isascii()
    answer = served.get("/stream/<script>alert(1)</script>")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_page_and_its_files(served: Served) -> None:
    page = served.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert served.get("/", If_None_Match=page.headers["ETag"]).status_code == 304
    total = 0
    for file in sorted((ROOT / "archive_api" / "static").iterdir()):
        answer = served.get(f"/static/{file.name}")
        assert answer.content == file.read_bytes()
        assert answer.headers["Content-Security-Policy"] == FIELDS["content-security-policy"]
        total += len(answer.content)
    assert total <= 100_000
    assert served.get("/static/app.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    for mark in (" style=", "onclick", "<style", "http:", "https:", "//cdn"):
        assert mark not in page.text


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "archive_api", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)


def test_a_wrong_configuration_is_told_and_ends_with_2(tmp_path: Path) -> None:
    missing = _run("serve", "--config", str(tmp_path / "none.yaml"))
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("no configuration file")
    file = write_config(tmp_path, 8080)
    file.write_text(file.read_text().replace("port: 8080", "prot: 8080"))
    wrong = _run("serve", "--config", str(file))
    assert wrong.returncode == 2
    assert "archive.prot: is not a key that is known; did you mean 'port'?" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert _run().returncode == 2


def test_a_taken_port_is_told_and_ends_with_1(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        taken = _run("serve", "--config", str(write_config(tmp_path, port)))
    assert taken.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken by another program" in taken.stderr
    assert "Traceback" not in taken.stderr


def test_localhost_is_served_on_all_its_addresses(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "rec").mkdir()
    from tests.parts.process import Part, port_answers

    file = write_config(tmp_path, port)
    file.write_text(file.read_text().replace("{port:", "{host: localhost, port:"))
    argv = [sys.executable, "-W", "error", "-m", "archive_api", "serve", "--config", str(file)]
    with Part(argv, package="python3", log=tmp_path / "log", ready=lambda: port_answers(port), cwd=ROOT) as part:
        assert Served(port, part).get("/healthz").json()["ok"]
        for family, _, _, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
            with socket.socket(family) as probe:
                assert probe.connect_ex(address) == 0


def test_the_ports_of_a_stopped_archive_are_free_at_once(tmp_path: Path, recordings: Recordings) -> None:
    recordings.finished(1, start=START)
    with serving(tmp_path) as served:
        served.get("/api/files")
        served.part.restart()
        assert len(served.get("/api/files").json()) == 1
        assert json.loads(served.get("/healthz").text)["ok"]
