"""What a server says is decoded, whatever it is"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_leader_election._json import DEEPEST, decoded

_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{}é'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('ab"\\[]{}'), inner),
)


@given(_DOCUMENTS, st.booleans())
def test_what_is_not_nested_too_deep_is_decoded(document: Any, is_ascii: bool) -> None:
    assert decoded(json.dumps(document, ensure_ascii=is_ascii).encode()) == document


def test_many_brackets_are_decoded_where_they_are_not_nested() -> None:
    document = [{"[{": ['"[', "\\", '\\"[']} for _ in range(2 * DEEPEST)]
    assert decoded(json.dumps(document).encode()) == document


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"\\"":', "}"), ('["]",', "]")])
def test_what_is_nested_too_deep_says_nothing(begin: str, end: str) -> None:
    def nested(depth: int) -> bytes:
        return f"{begin * depth}1{end * depth}".encode()

    assert decoded(nested(DEEPEST)) is not None
    assert decoded(nested(DEEPEST + 1)) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"}" * 200, b"[" * 100_000, b'"' * 1001, b'["\\' * 1000, b"\xff\xfe", b"{}{}"],
)
def test_what_is_no_json_says_nothing(text: bytes) -> None:
    assert decoded(text) is None
