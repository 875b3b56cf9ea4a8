"""Which folder compiled kernels go to."""

from pathlib import Path

import pytest

from lab_scripts import kernel_cache


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this user's: a home and temporary files of the test's own, and no choice made yet."""
    for folder in ("home", "tmp"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # set, so that it is put back as it was
    monkeypatch.setattr(kernel_cache, "_in_use", None)
    monkeypatch.setattr(kernel_cache, "_ROOM_OCTETS", 0)
    return tmp_path


def blocked(path: Path) -> Path:
    """A path under which no user can make a folder."""
    path.write_text("a file")
    return path / "below"


def test_the_users_own_folder_comes_first(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(alone / "own"))
    assert kernel_cache.use_kernel_cache() == kernel_cache.KernelCache(folder=alone / "own", passed_over=())


def test_then_the_cache_of_the_home(alone: Path) -> None:
    found = kernel_cache.use_kernel_cache()
    assert found.folder is not None and found.folder.parent == alone / "home" / ".cache" / "pc5lab"
    assert found.passed_over == ()


def test_what_can_not_be_used_is_named(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = blocked(alone / "own")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(own))
    monkeypatch.setenv("HOME", str(blocked(alone / "home-file")))
    found = kernel_cache.use_kernel_cache()
    assert found.folder is not None and found.folder.is_relative_to(alone / "tmp")
    assert found.folder.parent.stat().st_mode & 0o777 == 0o700
    assert [reason.split(":")[0] for reason in found.passed_over] == [
        f"NUMBA_CACHE_DIR={own}",
        str(alone / "home-file" / "below" / ".cache"),
    ]


def test_a_folder_that_others_write_to_is_not_trusted(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached kernels are code: who can write there runs what they like."""
    import os

    monkeypatch.setenv("HOME", str(blocked(alone / "home-file")))
    shared = alone / "tmp" / f"pc5lab-kernels-{os.geteuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    kept: list[str] = []
    monkeypatch.setattr(kernel_cache, "_keep_nothing", lambda: kept.append("nothing"))
    found = kernel_cache.use_kernel_cache()
    assert found.folder is None and kept == ["nothing"]
    assert "others may write" in found.passed_over[-1]
    assert not kernel_cache.is_warm()


def test_a_full_disk_is_passed_over(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "_ROOM_OCTETS", 1 << 80)
    monkeypatch.setattr(kernel_cache, "_keep_nothing", lambda: None)
    assert all("No space left" in reason for reason in kernel_cache.use_kernel_cache().passed_over)


def test_no_home_at_all(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    found = kernel_cache.use_kernel_cache()
    assert found.passed_over == ("~/.cache: no home folder is known",)
    assert found.folder is not None and found.folder.is_relative_to(alone / "tmp")
