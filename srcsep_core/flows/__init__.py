"""Invertible transforms with exact log-determinants."""
