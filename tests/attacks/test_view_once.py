"""view-once: an interface promises that what was sent once cannot be kept.

Elsewhere: WhatsApp (2024): "view once" was a flag that other programs did not obey. Here nothing
says so: whatever speaks of forgetting says that it asks, and cannot force anybody.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = re.compile(
    r"view[- ]once|self[- ]destruct|cannot be (kept|saved|copied|forwarded|recorded|screenshot)"
    r"|can(no|'|’)t (screenshot|be screenshotted)|no screenshots|gone for (good|ever) on both"
    r"|without a trace on (both|their)|leaves no trace|guaranteed to (disappear|be deleted)"
    r"|один просмотр|самоуничтож|нельзя (сохранить|скопировать|переслать|записать)"
    r"|исчезн\w+ бесследно|не останется следов|гарантированно (исчез|удал)",
    re.IGNORECASE,
)
SAYS_SO = {
    "en": re.compile(r"timerHint:.*asks.*cannot force", re.IGNORECASE),
    "ru": re.compile(r"timerHint:.*просьба.*нельзя", re.IGNORECASE),
}


def texts() -> dict[str, str]:
    """Everything that people read: the interface, the commands' help, the guides."""
    files = [
        *(ROOT / "web" / "src").rglob("*.ts"),
        *(ROOT / "web" / "src").rglob("*.svelte"),
        *(ROOT / "src" / "holdfast" / "cli").rglob("*.py"),
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
    ]
    return {str(file.relative_to(ROOT)): file.read_text() for file in files}


def promises(found: dict[str, str]) -> list[str]:
    """Sentences that nobody can keep."""
    return [
        f"{name}: {match[0]}" for name, text in found.items() for match in PROMISES.finditer(text)
    ]


def test_nothing_promises_that_it_cannot_be_kept() -> None:
    assert promises(texts()) == []


@pytest.mark.parametrize("language", sorted(SAYS_SO))
def test_what_disappears_is_said_to_be_asked_for(language: str) -> None:
    words = (ROOT / "web" / "src" / "lang" / f"{language}.ts").read_text()
    assert SAYS_SO[language].search(words)


def test_twin_a_promise_would_be_seen() -> None:
    for sentence in (
        "View once: they see it a single time.",
        "Your photo cannot be saved by the recipient.",
        "Сообщение самоуничтожится.",
        "Фото нельзя сохранить.",
    ):
        assert promises({"web/src/lang/en.ts": sentence}), sentence
