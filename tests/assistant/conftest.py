"""The fixtures of the assistant's tests; they stand in modules whose classes tests import too."""

import pytest

pytest.register_assert_rewrite("talking", "flow_kit")

from flow_kit import flow_talk  # noqa: E402, F401 -- after the line above
from talking import no_settings_around, talk  # noqa: E402, F401
