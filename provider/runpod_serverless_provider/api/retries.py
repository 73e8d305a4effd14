"""How often a process may try again, all its requests together: retries help against a hiccup, and make an outage worse. Sends nothing."""

from __future__ import annotations

from typing import Final

CAPACITY: Final = 500
RETRY_COST: Final = 5
"""Another attempt takes so much, and gives it back if it succeeds; a hundred in vain are the end of it."""
_FIRST_SUCCESS: Final = 1


class Retries:
    """A bucket of tokens that retries take and successes fill, as AWS's SDKs have it.

    Waiting for a rate limit takes nothing: there the API says itself when it wants to be asked again.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._left = capacity

    def take(self) -> bool:
        """Take what another attempt costs; False where there is too little left."""
        if self._left < RETRY_COST:
            return False
        self._left -= RETRY_COST
        return True

    def succeeded(self, *, is_retry: bool) -> None:
        """Put back what a request that succeeded took, or a little for one that succeeded at once."""
        self._left = min(self._capacity, self._left + (RETRY_COST if is_retry else _FIRST_SUCCESS))
