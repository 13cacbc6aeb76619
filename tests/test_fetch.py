"""Downloads against a server on loopback: each way to fail says what to do, and leaves nothing behind."""

import concurrent.futures
import hashlib
import http.server
import socket
import threading
import time
from pathlib import Path

import pytest

from course_lib.data import fetch as fetch_module
from course_lib.data.fetch import DownloadError, fetch

BODY = b"gene\tcount\nTP53\t7\n" * 200
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()
OTHER_SHA256 = "sha256:" + hashlib.sha256(b"another file").hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests_seen += 1
        if self.path == "/silent":  # takes the request and never answers
            self.server.stop_waiting.wait(10)
            return
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/dripping-header":
            for byte in b"HTTP/1.0 200 OK\r\nX: " + b"x" * 5000:
                if self.server.stop_waiting.wait(0.05):
                    return
                self.wfile.write(bytes([byte]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if self.path == "/truncated":
            self.wfile.write(BODY[:1000])
        elif self.path == "/stalled":
            self.wfile.write(BODY[:1000])
            self.wfile.flush()
            self.server.stop_waiting.wait(10)
        elif self.path == "/dripping":  # never silent for long, never done
            for byte in BODY:
                if self.server.stop_waiting.wait(0.05):
                    return
                self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(BODY)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    httpd.stop_waiting = threading.Event()
    httpd.requests_seen = 0
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    httpd.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    yield httpd
    httpd.stop_waiting.set()
    httpd.shutdown()
    httpd.server_close()
    thread.join(5)


def _assert_message_helps(error, url, known_hash, target):
    message = str(error.value)
    assert url in message
    assert known_hash in message
    assert str(target) in message
    assert "put it at" in message


@pytest.mark.parametrize("known_hash", [SHA256, MD5])
def test_a_whole_file_is_kept_and_not_asked_for_twice(server, tmp_path, known_hash, capfd):
    folder = tmp_path / "not" / "there" / "yet"
    path = fetch(f"{server.url}/file", known_hash, "file.tsv", folder)
    assert path == folder / "file.tsv"
    assert path.read_bytes() == BODY
    assert fetch(f"{server.url}/file", known_hash, "file.tsv", folder) == path
    assert server.requests_seen == 1
    assert [entry.name for entry in folder.iterdir()] == ["file.tsv"]
    assert capfd.readouterr() == ("", "")  # nothing that would stand in a notebook


@pytest.mark.parametrize(
    ("page", "known_hash", "reason"),
    [
        ("file", OTHER_SHA256, "not the recorded file"),
        ("truncated", SHA256, "broke off before the whole file"),
        ("stalled", SHA256, "stopped answering for 0.3 s"),
        ("silent", SHA256, "did not answer within 0.3 s"),
        ("missing", SHA256, "answered 404"),
    ],
)
def test_every_failure_says_where_to_put_the_file_and_leaves_nothing(server, tmp_path, page, known_hash, reason):
    url = f"{server.url}/{page}"
    started = time.monotonic()
    with pytest.raises(DownloadError, match=reason) as error:
        fetch(url, known_hash, "file.tsv", tmp_path, timeout=0.3)
    assert time.monotonic() - started < 5
    _assert_message_helps(error, url, known_hash, tmp_path / "file.tsv")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound_but_not_listening.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match="no connection to the server") as error:
            fetch(url, SHA256, "file.tsv", tmp_path, timeout=2)
    _assert_message_helps(error, url, SHA256, tmp_path / "file.tsv")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_resolved_says_so(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    for proxy in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(DownloadError, match="no connection to the server; is this machine on the network") as error:
        fetch("http://data.invalid/file", SHA256, "file.tsv", tmp_path, timeout=2)
    _assert_message_helps(error, "http://data.invalid/file", SHA256, tmp_path / "file.tsv")


def test_a_file_with_another_hash_is_replaced_by_the_right_one(server, tmp_path):
    (tmp_path / "file.tsv").write_bytes(BODY[:-1])
    assert fetch(f"{server.url}/file", SHA256, "file.tsv", tmp_path).read_bytes() == BODY
    assert server.requests_seen == 1


def test_a_file_with_another_hash_is_reported_and_left_if_no_right_one_comes(server, tmp_path):
    (tmp_path / "file.tsv").write_bytes(b"half a fi")
    found = hashlib.sha256(b"half a fi").hexdigest()
    with pytest.raises(DownloadError, match=f"is there with another hash, sha256:{found}; it is left as it is"):
        fetch(f"{server.url}/missing", SHA256, "file.tsv", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file.tsv"]
    assert (tmp_path / "file.tsv").read_bytes() == b"half a fi"


@pytest.mark.parametrize("page", ["dripping", "dripping-header"])
def test_a_server_that_drips_is_left_at_the_deadline(server, tmp_path, page):
    """A byte now and then satisfies every timeout: at this pace the file would take three minutes."""
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"it had not come whole after 0\.4 s; try again later, or pass deadline=…"):
        fetch(f"{server.url}/{page}", SHA256, "file.tsv", tmp_path, timeout=5, deadline=0.4)
    assert time.monotonic() - started < 3
    assert list(tmp_path.iterdir()) == []


def test_many_may_fetch_one_file_at_once_over_a_stale_one(server, tmp_path):
    """Each looks at the stale file, downloads, and puts its own whole file in place: none trips over another."""
    (tmp_path / "file.tsv").write_bytes(BODY[:-1])
    together = threading.Barrier(8)

    def one(_):
        together.wait(10)
        return fetch(f"{server.url}/file", SHA256, "file.tsv", tmp_path).read_bytes()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(8))) == {BODY}
    assert [path.name for path in tmp_path.iterdir()] == ["file.tsv"]


def test_one_that_fails_while_another_succeeds_is_content_with_its_file(server, tmp_path, monkeypatch):
    """As on Windows, where a file that another process reads cannot be replaced."""

    def replaced_by_another(source, target):
        Path(target).write_bytes(BODY)
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    monkeypatch.setattr(fetch_module.os, "replace", replaced_by_another)
    assert fetch(f"{server.url}/file", SHA256, "file.tsv", tmp_path).read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["file.tsv"]


@pytest.mark.parametrize(
    "name", ["../file.tsv", "/etc/file.tsv", "a/file.tsv", "..", ".", "", "a\\b", "C:file", "C:\\x"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(server, tmp_path, name):
    with pytest.raises(ValueError, match=r"name: expected the name of a file, found .*; name its folder with folder=…"):
        fetch(f"{server.url}/file", SHA256, name, tmp_path / "cache")
    assert server.requests_seen == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_downloaded(server, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DownloadError, match=r"folder: expected one that can be written, found .*file.inner.*folder=…"):
        fetch(f"{server.url}/file", SHA256, "file.tsv", tmp_path / "file" / "inner")
    assert server.requests_seen == 0


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_downloaded(server, tmp_path, monkeypatch):
    def read_only(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fetch_module.tempfile, "TemporaryFile", read_only)
    with pytest.raises(DownloadError, match=r"folder: expected one that can be written, found .*Permission denied"):
        fetch(f"{server.url}/file", SHA256, "file.tsv", tmp_path)
    assert server.requests_seen == 0


def test_a_file_put_there_by_hand_needs_no_network(tmp_path):
    (tmp_path / "file.tsv").write_bytes(BODY)
    assert fetch("http://data.invalid/file", SHA256, "file.tsv", tmp_path) == tmp_path / "file.tsv"


def test_a_hash_by_an_unknown_algorithm_is_no_download_failure(tmp_path):
    for odd in ("crc:12", "sha256:12", "sha256:" + "g" * 64, "md5:" + "0" * 64):
        with pytest.raises(ValueError, match=r"known_hash: expected sha256: or md5: and the digest.*, found "):
            fetch("http://data.invalid/file", odd, "file.tsv", tmp_path)


def test_the_cache_is_inside_the_repository_and_ignored_by_git():
    root = Path(__file__).resolve().parents[1]
    assert fetch_module.CACHE.relative_to(root).as_posix() == "data/cache"
    assert "/data/cache/" in (root / ".gitignore").read_text().splitlines()
