"""Settings every test shares."""

import pytest

from lab_scripts.kernel_cache import use_kernel_cache

use_kernel_cache()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked `slow` out unless `-m` names them."""
    if "slow" in str(config.option.markexpr):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes long: run it with -m slow"))
