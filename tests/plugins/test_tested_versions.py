"""A host library that is absent is named with what to do; also where it does not exist for this Python."""

from __future__ import annotations

import pytest

from breadth.plugins import tested_versions
from breadth.plugins.tested_versions import check_version

ELSEWHERE = "hostless is there for Python below 3.13, this is 3.13: use such a one, and there "


@pytest.mark.parametrize(("python", "said"), [((3, 12, 1), ""), ((3, 13, 0), ELSEWHERE)])
def test_an_absent_library_says_what_to_do(monkeypatch, python, said):
    monkeypatch.setattr(tested_versions.sys, "version_info", python)
    with pytest.raises(ImportError) as error:
        check_version("hostless", oldest=(1, 0), below=(2, 0), python_below=(3, 13))
    assert str(error.value) == f"this needs hostless, which is not installed: {said}pip install 'breadth[hostless]'"
