"""Removes files that nobody needs: uploads that never ended or whose time is over, artefacts of jobs that are gone."""

import logging

from ..errors import FilesUnavailable
from ..files import sweeping

logger = logging.getLogger(__name__)

BATCH = 100
#: Files in one look for those that no job uses: one short query.
LOOK = 1000
PAUSE = 60.0  # seconds
PAUSE_WITHIN_A_ROUND = 1.0


class Sweeper:
    """Goes through all files again and again, a look at a time; see `files.sweeping`."""

    name = "sweeper"

    def __init__(self) -> None:
        self.pause = PAUSE
        self._place = sweeping.BEGINNING

    def run(self) -> int:
        """Remove what is over; come back soon while there is more to look at."""
        try:
            unfinished = sweeping.sweep_unfinished(BATCH)
            unused, self._place = sweeping.sweep_unused(LOOK, self._place)
        except FilesUnavailable as error:
            logger.warning("%s waits for the store of files: %s", self.name, error)
            self.pause = PAUSE
            return 0
        more = unfinished == BATCH or self._place != sweeping.BEGINNING
        self.pause = PAUSE_WITHIN_A_ROUND if more else PAUSE
        return unfinished + unused
