import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.chat import names


@given(st.text(max_size=200))
def test_a_clean_name_stays_clean(text: str) -> None:
    clean = names.clean(text)
    assert names.clean(clean) == clean
    assert len(clean) <= names.MAX_NAME
    assert not any(unicodedata.category(char)[0] == "C" for char in clean)


def test_nothing_that_reorders_or_hides() -> None:
    assert names.clean("Anna\u202efdp.exe\u200b\x00\n!") == "Annafdp.exe !"
    assert names.clean_text("a\u202eb\x02c\nd\te") == "abc\nd\te"
    assert names.clean_text("שלום\u200f!") == "שלום\u200f!"


@given(st.text(st.characters(codec=None), max_size=50))
def test_a_clean_text_lacks_controls_and_what_reorders(text: str) -> None:
    def stays(char: str) -> bool:
        unseen = unicodedata.category(char) in ("Cc", "Cs") or "\u202a" <= char <= "\u202e"
        return char in "\n\t" or not unseen

    assert names.clean_text(text) == "".join(filter(stays, text))


@pytest.mark.parametrize("other", ["Аnnа", "ANNA", "An na", "Ánna"])
def test_what_looks_alike(other: str) -> None:
    assert names.skeleton(other) == names.skeleton("Anna")


def test_what_does_not() -> None:
    assert names.skeleton("Hanna") != names.skeleton("Anna")
    assert names.skeleton("Анна") != names.skeleton("Борис")


def test_joined_emoji_stay_joined() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert names.clean_emoji(family) == family
    assert names.clean_emoji("\u200d\u202e") == ""
