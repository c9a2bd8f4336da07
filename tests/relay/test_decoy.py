"""The decoy as a plain web server."""

import os
from pathlib import Path

import pytest

from holdfast.drive.http import Request, Response
from holdfast.relay.decoy import Folder, make_site


def ask(site: Folder, target: str, method: str = "GET", **headers: str) -> Response:
    pairs = tuple((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())
    return site.respond(Request(method, target, pairs))


@pytest.fixture
def site(tmp_path: Path) -> Folder:
    folder = tmp_path / "site"
    make_site(folder, lambda n: b"\x03" * n)
    (folder / "sub").mkdir()
    (folder / "sub" / "index.html").write_text("sub")
    (folder / ".hidden").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    os.symlink(tmp_path / "outside.txt", folder / "link.txt")
    return Folder(folder)


def test_pages_and_folders(site: Folder) -> None:
    page = ask(site, "/")
    assert page.status == 200 and b"<h1>" in page.body
    assert ask(site, "/index.html?x=1").body == page.body
    assert ask(site, "/sub/").body == b"sub"
    moved = ask(site, "/sub")
    assert moved.status == 301 and dict(moved.headers)["location"] == "/sub/"


@pytest.mark.parametrize(
    "target",
    ["/nothing", "/.hidden", "/../outside.txt", "/%2e%2e/outside.txt", "/link.txt", "/a%00b",
     "/%ff%fe", "/..%5coutside.txt", "*", "http://a/b", "/" + "x" * 5000],
)  # fmt: skip
def test_everything_else_is_the_sites_own_404(site: Folder, target: str) -> None:
    missing = ask(site, target)
    assert missing.status == 404 and b"Back to the start" in missing.body


def test_what_a_client_has_already_is_not_sent_again(site: Folder) -> None:
    headers = dict(ask(site, "/").headers)
    assert ask(site, "/", if_none_match=headers["etag"]).status == 304
    assert ask(site, "/", if_none_match='"other", ' + headers["etag"]).status == 304
    assert ask(site, "/", if_none_match='"other"').status == 200
    assert ask(site, "/", if_modified_since=headers["last-modified"]).status == 304
    assert ask(site, "/", if_modified_since="Thu, 01 Jan 1970 00:00:00 GMT").status == 200
    assert ask(site, "/", if_modified_since="yesterday").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "CONNECT", "ERROR"])
def test_other_methods(site: Folder, method: str) -> None:
    refused = ask(site, "/", method)
    assert refused.status == 405 and dict(refused.headers)["allow"] == "GET, HEAD"


def test_no_two_sites_are_alike(tmp_path: Path) -> None:
    make_site(tmp_path / "a", lambda n: b"\x01" * n)
    make_site(tmp_path / "b", lambda n: b"\x02" * n)
    pages = [(tmp_path / name / "index.html").read_bytes() for name in "ab"]
    assert pages[0] != pages[1]
    assert not any(b"holdfast" in page.lower() for page in pages)
