from tests.mutants.changes import mutants

SOURCE = '''"""What is imported stays: 1."""
LIMIT = 3


class Shelf:
    size = 4

    @in_transaction
    def take(self, units: int = 2) -> int:
        """Take some."""
        if units > self.left:
            raise TooFew(f"{self.left} are left.", seen=units)
        self.left -= units
        note(self)
        return sum(each.units for each in self.taken if each.live)
'''


def test_a_decorated_method_is_changed_and_neither_prose_nor_what_is_imported():
    assert [mutant.told for mutant in mutants(SOURCE)] == [
        "11 Shelf.take: if units > self.left: pass → if False: pass",
        "11 Shelf.take: > self.left → >= self.left",
        '12 Shelf.take: TooFew(f"{self.left} are left.", seen=units) '
        '→ TooFew(f"{self.left} are left.", )',
        "13 Shelf.take: self.left -= units → pass",
        "13 Shelf.take: self.left -= units → self.left = units",
        "13 Shelf.take: self.left -= units → self.left += units",
        "14 Shelf.take: note(self) → pass",
        "14 Shelf.take: note(self) → note()",
        "15 Shelf.take: sum(each.units for each in self.taken if each.live) → sum()",
        "15 Shelf.take: if each.live → if True",
    ]


def test_a_mutant_is_the_whole_module_with_one_change():
    [first, *_] = mutants(SOURCE)

    assert first.source() == SOURCE.replace("if units > self.left:", "if False:")


def test_what_leaves_a_body_out_is_noticed_only_by_who_goes_into_it():
    by_words = {mutant.told.partition(": ")[2]: mutant.lines for mutant in mutants(SOURCE)}

    assert by_words["if units > self.left: pass → if False: pass"] == range(12, 13)
    assert by_words["> self.left → >= self.left"] == range(11, 12)
