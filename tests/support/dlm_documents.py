"""Made `.dlm` documents: a strategy for every part of the format, valid and not, and one to begin with."""

from __future__ import annotations

from hypothesis import strategies as st

DLM_ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"
DOCUMENT = f"""\
---
dlm_id: {DLM_ID}
dlm_version: 15
base_model: smollm2-135m
system_prompt: You answer for the Harbour of Brinmoor.
---

# The harbour

The harbour of Brinmoor freezes every winter, and the pilots skate to work.

::instruction::
### Q
What do the pilots of Brinmoor do in winter?
### A
They skate to work.

### Q !probe
Who freezes in winter?
### A
The harbour of Brinmoor.

::preference::
### Prompt
Describe the harbour.
### Chosen
It freezes, and the pilots skate.
### Rejected
It is a harbour.
"""

_LINES = st.sampled_from(
    [
        "",
        "",
        "   ",
        "plain text",
        "Ünïcode – “quotes” 水",
        "```",
        "```python",
        "  ```",
        "::instruction::",
        "::preference::",
        "::prose::",
        "::instruction#tone::",
        "::preference#knowledge_2::",
        "::instruction#::",
        "::instruction#Tone::",
        "::nonsense::",
        ":: instruction ::",
        "::instruction:: ",
        " ::instruction::",
        '::image path="a.png"::',
        '::image path="a.png" alt="a cat"::',
        '::image alt="a cat"::',
        "::image::",
        '::audio path="a.wav" transcript="hello"::',
        '::audio path="a.wav"::',
        '::prose path="a.wav"::',
        '::image path="a.png" path="b.png"::',
        '::image path="ä.png"::',
        "---",
        "### Q",
        "### Q",
        "### A",
        "### A",
        "### Q !probe",
        " ### Q !probe ",
        "### Q what",
        "### Prompt",
        "### Chosen",
        "### Rejected",
        "# heading",
        "a form feed \x0c inside",
        "a separator \u2028 inside",
        '<!-- dlm-auto-harvest: source="run_1_sway" -->',
        "<!-- dlm-auto-harvest: source=run_1 -->",
        (
            '<!-- dlm-auto-mined: judge_name="sway" judge_score_chosen="0.5" judge_score_rejected="-1" '
            'mined_at="2026-01-01T00:00:00Z" mined_run_id="3" -->'
        ),
        (
            '<!-- dlm-auto-mined: judge_name="sway" judge_score_chosen="nan" judge_score_rejected="-1" '
            'mined_at="2026-01-01T00:00:00Z" mined_run_id="3" -->'
        ),
        '<!-- dlm-auto-mined: judge_name="sway" -->',
        "<!-- dlm-auto-mined: -->",
        (
            '<!-- dlm-auto-synth: synth_teacher="t" synth_strategy="s" synth_at="2026-01-01" '
            'source_section_id="0123456789abcdef" -->'
        ),
        (
            '<!-- dlm-auto-synth: synth_teacher="" synth_strategy="s" synth_at="2026-01-01" '
            'source_section_id="0123456789abcdef" -->'
        ),
        (
            '<!-- dlm-auto-synth: synth_teacher="t" synth_strategy="s" synth_at="yesterday" '
            'source_section_id="0123456789ABCDEF" -->'
        ),
    ]
)
_WORDS = st.text(alphabet="abc äß水.!?:#`\"'", min_size=1, max_size=20).filter(
    lambda text: text.strip() and not text.startswith("```")
)
_PAIR = st.tuples(st.sampled_from(["### Q", "### Q !probe"]), _WORDS, _WORDS).map(
    lambda p: f"{p[0]}\n{p[1]}\n### A\n{p[2]}\n"
)
_TRIPLE = st.tuples(_WORDS, _WORDS, _WORDS).map(
    lambda t: f"### Prompt\n{t[0]}\n### Chosen\n{t[1]}\n\n### Rejected\n{t[2]}\n"
)
_SECTION = st.one_of(
    st.tuples(st.sampled_from(["", "#tone"]), st.lists(_PAIR, min_size=1, max_size=3)).map(
        lambda s: f"::instruction{s[0]}::\n" + "\n".join(s[1])
    ),
    st.tuples(st.sampled_from(["", "#knowledge"]), st.lists(_TRIPLE, min_size=1, max_size=2)).map(
        lambda s: f"::preference{s[0]}::\n" + "\n".join(s[1])
    ),
    st.lists(_WORDS, min_size=1, max_size=3).map(lambda lines: "::prose::\n" + "\n".join(lines)),
    st.just('::image path="figures/a.png" alt="a"::\nThe harbour.'),
)
_FRONT = st.one_of(
    st.sampled_from(["", "dlm_version: 15\n", "training:\n  adapters:\n    knowledge: {}\n    tone: {}\n"]),
    st.sampled_from(
        [
            "dlm_version: 15\n",
            "system_prompt: |\n  You are brief.\n  You are kind.\n",
            "training:\n  adapter: qlora\n",
            "training:\n  adapters:\n    knowledge: {}\n    tone:\n      adapter: qlora\n",
            "dlm_version: 99\n",
            "dlm_version: true\n",
            "system_prompt: 3\n",
            "training: []\n",
            "training:\n  adapters: {}\n",
            "training:\n  adapters:\n    Tone: {}\n",
            "training:\n  sources:\n    - path: notes\n",
            "training:\n  sources:\n    - path: ''\n",
        ]
    ),
)


def _document(front: str, body: str, base: str = "smollm2-135m", dlm_id: str = DLM_ID) -> str:
    return f"---\ndlm_id: {dlm_id}\nbase_model: {base}\n{front}---\n{body}"


sound = st.builds(
    lambda front, sections, ends: _document(front, "\n\n" + "\n\n".join(sections) + ends),
    _FRONT,
    st.lists(_SECTION, max_size=5),
    st.sampled_from(["", "\n", "\n\n"]),
)
"""Documents that are mostly right."""
odd = st.builds(
    lambda front, lines, dlm_id: _document(front, "\n".join(lines), dlm_id=dlm_id),
    _FRONT,
    st.lists(_LINES, max_size=14),
    st.sampled_from([DLM_ID, DLM_ID, DLM_ID, "short"]),
)
"""Documents of lines that matter, in any order: mostly wrong."""
texts = st.one_of(sound, odd, odd.map(lambda text: text.replace("---", "--", 1)))
