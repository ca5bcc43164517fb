"""Sections of one id are one section."""

from __future__ import annotations

from psmt_viz.report.section import Section, merged
from psmt_viz.report.tables import make_table


def test_words_and_tables_of_one_id_stand_together() -> None:
    tables = [make_table(name, ("x",), [[1]]) for name in "abc"]
    sections = (
        Section(id="one", title="First", paragraphs=("p",), tables=(tables[0],), open=False),
        Section(id="two", title="Second", numbers=(tables[2],)),
        Section(id="one", title="Late", paragraphs=("q",), warnings=("w",), tables=(tables[1],)),
    )
    found = merged(sections)
    assert [section.id for section in found] == ["one", "two"]
    one = found[0]
    assert (one.title, one.paragraphs, one.warnings, one.open) == ("First", ("p", "q"), ("w",), False)
    assert one.tables == (tables[0], tables[1])
    assert found[1] is sections[1]
