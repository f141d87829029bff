"""An extraction whose models are open: what headers tell of it, and then what their weights do."""

from __future__ import annotations

from ...checkpoints.address import OutputPath
from ...diffusion.families import Family, family_of
from ...engine import RunSettings
from ...errors import MergeError
from ..low_rank.spool import Spool
from ..low_rank.writing import Adapter
from .carding import render_card
from .choosing import Chosen, choose
from .describing import planned
from .difference import Difference, plan_difference
from .document import ExtractDocument
from .extracted import Extracted, settle
from .kohya_making import make_file
from .kohya_scheme import kohya_scheme
from .making import make_adapter
from .module import Scheme
from .network import UNKNOWN, network_of
from .peft_scheme import PeftScheme
from .request import Extraction
from .running import measure


class Extracting:
    """An extraction whose models are open.

    Raises:
        UsageError: The request is wrong.
        MergeError: The models do not fit together.
    """

    def __init__(self, extraction: Extraction) -> None:
        self.extraction = extraction
        self.difference: Difference = plan_difference(extraction.tuned, extraction.base, extraction.folder)
        self._diffusion = kohya_scheme(self.difference.base.tensors)
        try:
            if self._diffusion is not None:
                self._refuse_mixed(self._diffusion.family)
            scheme = self._diffusion or PeftScheme(self.difference.base.tensors)
            self.chosen: Chosen = choose(self.difference, extraction, scheme)
        except BaseException:
            self.close()
            raise

    def _refuse_mixed(self, family: Family) -> None:
        """Refuse diffusion models of two families, whose layers have many names in common."""
        found = family_of(self.difference.given.tensors)
        if found is not None and found.name != family.name:
            what = f"is {found.title}, and {self.extraction.base} is {family.title}"
            raise MergeError(what, where=self.extraction.tuned, hint="merge inspect shows what a file is")

    def close(self) -> None:
        """Close the models."""
        self.difference.plan.close()

    def planned(self) -> ExtractDocument:
        """Return what headers alone tell."""
        return planned(self.extraction, self.chosen)

    @property
    def is_folder(self) -> bool:
        """Whether the adapter is a folder of PEFT, and no single file."""
        return self._diffusion is None

    def made(self, spool: Spool, out: OutputPath, settings: RunSettings) -> tuple[Extracted, Adapter]:
        """Read both models and return what comes of it, and the adapter that is to be written.

        Args:
            spool: Takes the factors, and must stay open until they are written.
            out: Where the adapter goes, for its card.
            settings: How to run.

        Raises:
            MergeError: There is nothing to extract, or something cannot be read.
        """
        extracted = self._extracted(spool, settings)

        def card(identity: str) -> str:
            return render_card(extracted, self.difference, out, identity)

        if self._diffusion is not None:
            return extracted, make_file(extracted, self._diffusion, spool, card)
        return extracted, make_adapter(extracted, self.difference, self._scheme, spool, card)

    def _extracted(self, spool: Spool, settings: RunSettings) -> Extracted:
        network = UNKNOWN if self._diffusion else network_of(self.difference.base)
        self._scheme: Scheme = self._diffusion or PeftScheme(self.difference.base.tensors, network)
        chosen = choose(self.difference, self.extraction, self._scheme)
        measured = measure(self.difference, chosen, self.extraction, spool, settings)
        extracted = settle(self.difference, chosen, measured, self.extraction, self._scheme, network)
        if extracted.is_empty:
            raise self._nothing(extracted)
        return extracted

    def _nothing(self, extracted: Extracted) -> MergeError:
        if not extracted.left:
            what = f"the difference from {self.extraction.base} is 0: there is nothing to extract"
            return MergeError(what, where=self.extraction.tuned, hint="is it the tuned model, and that its base?")
        first, (reason, _) = next(iter(extracted.left.items()))
        what = f"no chosen layer differs; what differs is '{first}' ({reason}; {len(extracted.left)} such)"
        hint = "--whole auto saves whole what factors cannot hold" if self.is_folder else None
        return MergeError(what, where=self.extraction.tuned, hint=hint)
