"""The claims of the paper and the thesis, settled by numbers."""

from srcsep_core.audit.claims.ledger import ledger
from srcsep_core.audit.claims.measures import Claim, Results, mean

__all__ = ["Claim", "Results", "ledger", "mean"]
