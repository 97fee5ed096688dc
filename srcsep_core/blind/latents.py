"""Where the latent vectors of single sources lie, and what lies between them: the latent map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from srcsep_core.blind.scores import assigned
from srcsep_core.blind.slots import SlotNet


@dataclass(frozen=True)
class LatentMap:
    """The plane of the two principal components of latent vectors: mean (L,), axes (2, L), and the points (N, 2).

    shares: how much of the variance each axis holds.
    """

    mean: Tensor
    axes: Tensor
    points: Tensor
    shares: tuple[float, float]

    def at(self, first: float, second: float) -> Tensor:
        """The latent vector (L,) at a place of the plane."""
        return self.mean + torch.tensor([first, second], dtype=self.axes.dtype) @ self.axes


@torch.no_grad()
def slot_codes(net: SlotNet, mix: Tensor, sources: Tensor) -> Tensor:
    """The latent vectors of mixes (B, 1, T), one for each of the true sources (B, K, T): (B, K, latent).

    A source has the slot whose masked part is nearest to it (mean squared error, best assignment).
    """
    parts = net.separate(mix)
    distance = (parts[:, :, None] - sources.to(parts)[:, None]).square().mean(dim=3)
    return assigned(net.encode(net.config.view.picture(mix))[0], -distance)


def latent_map(codes: Tensor) -> LatentMap:
    """The principal plane of latent vectors (N, L); the largest weight of each axis is positive."""
    values = codes.double().cpu()
    mean = values.mean(dim=0)
    _, sizes, axes = torch.linalg.svd(values - mean, full_matrices=False)
    axes = axes[:2] * axes[:2].gather(1, axes[:2].abs().argmax(dim=1, keepdim=True)).sign()
    power = (sizes.square() / sizes.square().sum()).tolist()
    points = (values - mean) @ axes.T
    return LatentMap(mean.float(), axes.float(), points.float(), (power[0], power[1]))


@torch.no_grad()
def decoded(net: SlotNet, latent: Tensor) -> Tensor:
    """The pictures (N, rows, columns) of latent vectors (N, latent)."""
    pictures: Tensor = net.decode(latent[:, None])[:, 0]
    return pictures.unflatten(-1, net.config.view.size).cpu()


def energy_shares(estimates: Tensor) -> np.ndarray:
    """The share of the energy of a mix's estimates (B, M, T) that each slot holds, largest first: (B, M)."""
    energy = estimates.double().square().sum(dim=2)
    shares: np.ndarray = (energy / energy.sum(dim=1, keepdim=True)).sort(dim=1, descending=True).values.numpy()
    return shares


def known_from(codes: Tensor, values: Sequence[float]) -> float:
    """How much of the variance of `values` is linear in latent vectors (N, L): R^2, by five-fold cross-validation."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import cross_val_score

    found = cross_val_score(Ridge(), codes.double().cpu().numpy(), np.asarray(values, float), cv=5, scoring="r2")
    return float(found.mean())
