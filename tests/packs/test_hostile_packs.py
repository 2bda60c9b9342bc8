"""Archives that want more than to be a pack: refused whole, and nothing is written or read elsewhere."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_sway.packs import archive_reading
from pytest_sway.packs.errors import PackError
from pytest_sway.packs.unpacking import unpack
from tests.cli.test_main import refusal
from tests.support.hostile_packs import HOSTILE, archive, member, own


def _tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_whole(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack, target = tmp_path / "x.swaypack.tar.gz", tmp_path / "target"
    pack.write_bytes(HOSTILE[name]())
    with pytest.raises(PackError) as refused:
        unpack(pack, target)
    message = str(refused.value)
    assert message
    assert "\x1b" not in message
    assert "Traceback" not in message
    assert "\n" not in message or "spec cannot be read" in message
    assert [path for path in _tree(tmp_path) if path != pack] == []
    assert not (Path("/etc") / "sway.json").exists()


def test_the_sound_archives_of_these_tests_are_no_hostile_ones(tmp_path: Path) -> None:
    for number, content in enumerate((archive(), own(), archive(member("swaypack/null-stats/abc.json")))):
        pack = tmp_path / f"{number}.swaypack.tar.gz"
        pack.write_bytes(content)
        assert unpack(pack, tmp_path / str(number)).needs == ("adapter",)


def test_a_bomb_is_not_decompressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_reading, "MOST_BYTES", 1 << 20)
    pack = tmp_path / "bomb.swaypack.tar.gz"
    pack.write_bytes(gzip.compress(b"\0" * (8 << 20)))
    with pytest.raises(PackError, match="unpacks to more than 1 MiB"):
        unpack(pack, tmp_path / "target")


def test_a_base_of_the_hub_is_no_folder_that_happens_to_be_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pack = tmp_path / "x.swaypack.tar.gz"
    pack.write_bytes(own())
    assert unpack(pack, tmp_path / "one").needs == ("adapter",)
    (tmp_path / "org" / "base").mkdir(parents=True)
    with pytest.raises(PackError, match="there is a local folder with the same name"):
        unpack(pack, tmp_path / "two")


def test_a_folder_that_the_spec_does_not_name_is_an_error(tmp_path: Path) -> None:
    pack = tmp_path / "x.swaypack.tar.gz"
    pack.write_bytes(own())
    (tmp_path / "base").mkdir()
    with pytest.raises(PackError, match=r"--base is not needed: the pack's spec does not refer to \./base"):
        unpack(pack, tmp_path / "one", base=tmp_path / "base")


def test_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = tmp_path / "x.swaypack.tar.gz"
    pack.write_bytes(HOSTILE["symlink"]())
    assert "nothing was written" in refusal(capsys, "unpack", str(pack), "-o", str(tmp_path / "t"), status=1)
    assert "special file" in refusal(capsys, "run", str(pack))


_NAMES = st.one_of(
    st.sampled_from(
        ["swaypack/x.json", "swaypack/files/a.txt", "/x.json", "../x.json", "swaypack/../x.json"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).map(
        lambda name: f"swaypack/{name}"
    ),
)
_TYPES = st.sampled_from(
    [
        tarfile.REGTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.DIRTYPE,
        tarfile.CHRTYPE,
        tarfile.GNUTYPE_SPARSE,
    ]
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    members=st.lists(st.tuples(_NAMES, _TYPES, st.binary(max_size=40)), max_size=4),
    damage=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3),
)
def test_whatever_the_archive_holds(tmp_path_factory, members, damage) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    built = [member(name, content, type=kind, linkname="/etc/passwd") for name, kind, content in members]
    try:
        raw = bytearray(gzip.decompress(archive(*built)))
    except (ValueError, tarfile.TarError):
        return  # tarfile writes no such name
    for at, value in damage:
        raw[at % len(raw)] = value
    pack = folder / "x.swaypack.tar.gz"
    pack.write_bytes(gzip.compress(bytes(raw)))
    try:
        unpack(pack, folder / "target")
    except PackError:
        assert not (folder / "target" / "swaypack").exists()
    outside = [path for path in _tree(folder) if not path.is_relative_to(folder / "target") and path != pack]
    assert outside == []
    links = [path for path in _tree(folder) if path.is_symlink()]
    assert links == []


@settings(max_examples=100)
@given(content=st.binary(max_size=2000))
def test_whatever_the_bytes_are(tmp_path_factory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    pack = folder / "x.swaypack.tar.gz"
    for data in (content, gzip.compress(content)):
        pack.write_bytes(data)
        with pytest.raises(PackError):
            unpack(pack, folder / "target")
