"""Every stage keeps the laws of `featcli.testing`; a new one is tested by these without a line."""

from strategies import ALL

from featcli.testing import StageLaws


class TestEveryStage(StageLaws):
    """All stages of featcli."""

    names = ALL
