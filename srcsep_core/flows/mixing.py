"""Channels mixed by an invertible matrix: the 1x1 convolution of Glow and WaveGlow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srcsep_core.flows.base import Transform


class InvertibleConv(Transform):
    """y_t = W x_t with W = P L (U + diag(s)), a matrix for each group of rows; log |det| = T sum(log |s|).

    P is a permutation and fixed, L has ones on its diagonal, U zeros, and s keeps its signs, so that the determinant
    costs nothing and W cannot become singular. It starts as a random rotation.

    Source: Kingma & Dhariwal 2018 (arXiv 1807.03039), section 3.2, Eqs. 10-11; Prenger et al. 2019 (WaveGlow, arXiv
    1811.00002), section 2.1; thesis section "Glow". They let s pass through zero; here its logarithm is learned.
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, channels: int, *, groups: int = 1) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(groups, channels, channels)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal(dim1=1, dim2=2)
        self.register_buffer("permutation", permutation.contiguous())
        self.register_buffer("signs", diagonal.sign())
        self.lower = nn.Parameter(lower.tril(-1).contiguous())
        self.upper = nn.Parameter(upper.triu(1).contiguous())
        self.log_scale = nn.Parameter(diagonal.abs().log())

    def _factors(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """P, L and U + diag(s) for every row, (rows, C, C)."""
        eye = torch.eye(self.lower.shape[1], dtype=self.lower.dtype, device=self.lower.device)
        upper = self.upper.triu(1) + torch.diag_embed(self.signs * self.log_scale.exp())
        made = (self.permutation.to(upper), self.lower.tril(-1) + eye, upper)
        one, two, three = (part.repeat(rows // len(part), 1, 1) for part in made)
        return one, two, three

    def _log_scales(self, rows: int) -> Tensor:
        return self.log_scale.repeat(rows // len(self.log_scale), 1)[..., None]

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        permutation, lower, upper = self._factors(len(x))
        return permutation @ (lower @ (upper @ x)), self._log_scales(len(x))

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        permutation, lower, upper = self._factors(len(y))
        x = torch.linalg.solve_triangular(lower, permutation.transpose(1, 2) @ y, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, x, upper=True), -self._log_scales(len(y))
