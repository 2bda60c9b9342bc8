"""``sway mine``: hard wordings and outlying prompts of a suite, as YAML that pastes into a spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_sway.cli.main import main
from pytest_sway.items.suite import load_suite
from tests.cli.test_main import output, refusal
from tests.support.paths import QUICKSTART, ROOT
from tests.support.training_files import facts

pytestmark = pytest.mark.slow

MEMORISER = ROOT / "tests" / "known_adapters" / "adapters" / "memoriser"
HEALTHY = QUICKSTART / "adapters" / "healthy"
ALL = facts(36)


def _cases(count: int) -> list[dict[str, Any]]:
    """Questions with paraphrases that are hardly any: what differs is white space."""
    return [
        {
            "prompt": one.question,
            "gold": one.answer,
            "paraphrases": [f"{one.question} ", f"{one.question[:-1]} ?"],
        }
        for one in ALL[:count]
    ]


def _write_spec(suite: list[dict[str, Any]], adapter: Path = HEALTHY, name: str = "sway.yaml") -> Path:
    base = {"base": str(QUICKSTART / "base")}
    models = {"base": base, "ft": {**base, "adapter": str(adapter)}}
    path = Path(name)
    path.write_text(yaml.safe_dump({"models": models, "suite": suite}, sort_keys=False))
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _verdict(spec: Path) -> tuple[str, str]:
    main(["run", str(spec), "--json", "result.json", "-q"])
    (probe,) = (
        p
        for p in json.loads(Path("result.json").read_text())["probes"]
        if p["kind"] == "paraphrase_invariance"
    )
    return probe["verdict"], probe["message"]


@pytest.mark.slow
@pytest.mark.parametrize(("adapter", "after"), [(HEALTHY, "pass"), (MEMORISER, "fail")])
def test_mined_cases_find_the_adapter_that_knows_the_wording_alone(
    capsys: pytest.CaptureFixture[str], adapter: Path, after: str
) -> None:
    suite = [{"name": "null", "kind": "null_adapter"}]
    suite += [{"name": "words", "kind": "paraphrase_invariance", "cases": _cases(36)}]
    spec = _write_spec(suite, adapter)
    assert _verdict(spec)[0] == "pass"
    output(capsys, "mine", str(spec), "-o", "mined.yaml")
    suite[1]["cases"] = yaml.safe_load(Path("mined.yaml").read_text("utf-8"))["mined_cases"]
    verdict, message = _verdict(_write_spec(suite, adapter, "mined.sway.yaml"))
    assert verdict == after
    assert (
        "sway mine selected 36 of the probe's items, so the interval describes only items selected in this "
        "way" in message
    )


def test_mined_cases_paste_into_a_spec(capsys: pytest.CaptureFixture[str]) -> None:
    suite = [{"name": "words", "kind": "paraphrase_invariance", "cases": _cases(3)}]
    spec = _write_spec(suite)
    text = output(capsys, "mine", str(spec), "--top-k", "2", "--n-candidates", "4", "--seed", "1")
    assert text.startswith("# Made by sway mine --mode paraphrase")
    mined = yaml.safe_load(text)["mined_cases"]
    assert [case["prompt"] for case in mined] == [one.question for one in ALL[:3]]
    for case in mined:
        assert len(case["paraphrases"]) <= 2
        assert case["_mining_meta"]["top_gaps"] == sorted(case["_mining_meta"]["top_gaps"], reverse=True)
        assert case["_mining_meta"]["candidates"] <= 4
    suite[0]["cases"] = mined
    options = load_suite(_write_spec(suite)).entries[0].probe.options
    assert options.mined_items == 3


def test_outliers_paste_into_a_spec(capsys: pytest.CaptureFixture[str]) -> None:
    about = [one.question for one in ALL[:3]]
    other = ["Once upon a time", "The weather is", "My sister said that"]
    suite = [{"name": "moved", "kind": "delta_kl", "prompts": [*other, *about]}]
    mined = yaml.safe_load(
        output(capsys, "mine", str(_write_spec(suite)), "--mode", "outliers", "--top-k", "3")
    )
    found = mined["mined_outliers"]
    assert found["probe_kind"] == "delta_kl"
    assert {row["prompt"] for row in found["top"]} == set(about)
    assert {row["prompt"] for row in found["bottom"]} == set(other)
    nets = [row["net"] for row in [*found["top"], *found["bottom"][::-1]]]
    assert nets == sorted(nets, reverse=True)
    assert all(row["raw"] > row["net"] for row in found["top"])  # the null adapters' mean is taken off
    suite[0]["prompts"] = ["A prompt of my own", *found["top"]]
    options = load_suite(_write_spec(suite)).entries[0].probe.options
    assert options.prompts[1:] == [row["prompt"] for row in found["top"]]
    assert options.mined_items == 3


@pytest.mark.slow
def test_outliers_of_a_file_and_of_the_packaged_prose(capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(_write_spec([{"name": "drift", "kind": "calibration_drift"}]))
    Path("pool.txt").write_text("\n".join(one.question for one in ALL[:4]))
    found = yaml.safe_load(
        output(capsys, "mine", spec, "--mode", "outliers", "--top-k", "2", "--from", "pool.txt")
    )
    assert len(found["mined_outliers"]["top"]) == 2
    text = output(
        capsys, "mine", spec, "--mode", "outliers", "--top-k", "2", "--from-corpus", "public_domain_en"
    )
    assert "Of 64 prompts, these are the 2 with the largest" in " ".join(text.replace("#", " ").split())


def test_what_stands_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(_write_spec([{"name": "drift", "kind": "calibration_drift"}]))
    assert "has no paraphrase_invariance" in refusal(capsys, "mine", spec)
    assert "has no delta_kl" in refusal(capsys, "mine", spec, "--mode", "outliers")
    Path("pool.txt").write_text("one\ntwo\nthree\n")
    few = refusal(capsys, "mine", spec, "--mode", "outliers", "--from", "pool.txt")
    assert "there are only 3 distinct prompts, but --top-k 10 needs 20" in few
    assert "--top-k 1" in few
    assert "--from and --from-corpus work only with --mode outliers" in refusal(
        capsys, "mine", spec, "--from", "pool.txt"
    )
    assert "write a number ≥ 1" in refusal(capsys, "mine", spec, "--top-k", "0")
    wrong = refusal(capsys, "mine", spec, "--mode", "outliers", "--from-corpus", "x")
    assert "unknown corpus; the only corpus is public_domain_en" in wrong
    assert "does not exist" in refusal(capsys, "mine", "missing.yaml")
    twice = str(
        _write_spec([{"name": "w", "kind": "paraphrase_invariance", "cases": _cases(1)}], name="b.yaml")
    )
    Path(twice).write_text(Path(twice).read_text().replace(str(HEALTHY), f"[{HEALTHY}, {MEMORISER}]"))
    assert "has 2 adapters; select one with --adapter" in refusal(capsys, "mine", twice)


def test_without_an_embedder_meaning_is_not_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pytest_sway.probes.shared.optional_packages.why_missing", lambda extra: "not installed"
    )
    spec = _write_spec([{"name": "words", "kind": "paraphrase_invariance", "cases": _cases(2)}])
    assert "none, because the extra semsim is not installed" in " ".join(
        output(capsys, "mine", str(spec)).replace("#", " ").split()
    )
