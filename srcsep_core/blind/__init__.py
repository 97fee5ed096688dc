"""Blind separation: networks that take mixes apart and have seen no source alone, and what stands beside them."""
