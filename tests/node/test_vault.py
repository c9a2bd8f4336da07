import secrets
import stat
from pathlib import Path

import pytest

from holdfast.core.seal.rest import WrongPassphrase
from holdfast.node.vault import Vault, VaultError


def test_a_key_in_a_file_only_the_user_reads(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "home", secrets.token_bytes)
    assert vault.phase == "new"
    key = vault.make(None)
    assert len(key) == 32 and vault.phase == "ready" and vault.kept == "file"
    assert vault.open() == key
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "home" / "key").stat().st_mode) == 0o600
    vault.release()


def test_a_passphrase_is_set_changed_and_removed(tmp_path: Path) -> None:
    vault = Vault(tmp_path, secrets.token_bytes)
    key = vault.make("first")
    assert vault.phase == "locked"
    assert key not in (tmp_path / "key").read_bytes()
    with pytest.raises(WrongPassphrase):
        vault.open("second")
    vault.keep(key, "second")
    with pytest.raises(WrongPassphrase):
        vault.open("first")
    assert vault.open("second") == key
    vault.keep(key, None)
    assert vault.phase == "ready" and vault.open() == key
    vault.release()


def test_one_program_at_a_time(tmp_path: Path) -> None:
    vault = Vault(tmp_path, secrets.token_bytes)
    with pytest.raises(VaultError, match="another Holdfast is using"):
        Vault(tmp_path, secrets.token_bytes)
    vault.release()
    Vault(tmp_path, secrets.token_bytes).release()


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x81\xa4kept\xa4file", bytes(100)])
def test_a_damaged_key_file_is_said_so(tmp_path: Path, data: bytes) -> None:
    vault = Vault(tmp_path, secrets.token_bytes)
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(VaultError, match="damaged"):
        vault.open()
    vault.release()
