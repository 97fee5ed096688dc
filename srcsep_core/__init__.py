"""srcsep: generative priors of audio, audited and put to use for source separation.

The layers, from bottom to top: `data`, `nn` and `flows`, `priors`, `diagnostics`, `pipeline`, `cli`.
"""

__version__ = "0.1.0"
