"""The section of perturbations."""

from __future__ import annotations

from tests.report.reading import Page


def test_warnings_are_said(read: Page) -> None:
    assert "T-VAT as published: the search's step leaves 97 % of the features unchanged" in read.text
