"""How an extra is added follows from how Decal came to be installed."""

import pytest

from decal import extras


@pytest.mark.parametrize(
    ("direct_url", "told"),
    [  # as PEP 610 has them
        (None, "'decal[ocr,posts]'"),
        ('{"url": "file:///home/a/decal", "dir_info": {"editable": true}}', "-e '/home/a/decal[ocr,posts]'"),
        ('{"url": "file:///home/a/decal", "dir_info": {}}', "'/home/a/decal[ocr,posts]'"),
        ('{"url": "file:///a/decal-0.1.whl", "archive_info": {}}', "'decal[ocr,posts] @ file:///a/decal-0.1.whl'"),
        ('{"url": "https://a.b/d", "vcs_info": {"vcs": "git", "commit_id": "1f"}}', "'decal[ocr,posts] @ git+https://a.b/d@1f'"),
    ],
)
def test_an_extra_comes_from_where_decal_came_from(direct_url: str | None, told: str) -> None:
    assert extras.spec(("ocr", "posts"), direct_url) == told
