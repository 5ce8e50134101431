"""Text from data made fit for a page: nothing that XML cannot hold, nothing that turns the reading direction."""

import re
from typing import Final

_UNFIT: Final = re.compile(
    "[^\t\n\r\u0020-\u007e\u0085\u00a0-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
REPLACEMENT: Final = "\ufffd"


def clean(text: str) -> str:
    """The text with a sign in place of each character that does not belong on a page."""
    return _UNFIT.sub(REPLACEMENT, text)
